//go:build tools

// Package tools names the upstream programs built beside the ones under cmd/, so that go.sum locks their whole trees.
package tools

import (
	_ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
	_ "helm.sh/helm/v4/cmd/helm"
)
