{{/* Generated from crds/ by `python -m chartgen`. Do not edit. */}}
{{- define "vsm-operator-crds.resources" -}}
- mcpservers
{{- end }}
