//go:build tools

// Package tools names kind, so that go.sum locks its whole tree.
package tools

import _ "sigs.k8s.io/kind"
