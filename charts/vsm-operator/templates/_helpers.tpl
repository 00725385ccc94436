{{/*
Names are fixed, not made from the release's name: the Lease, the registry's address and the policies of the servers
refer to them. So one namespace holds one operator.
*/}}

{{- define "vsm-operator.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/part-of: vsm-operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "vsm-operator.selectorLabels" -}}
app.kubernetes.io/name: vsm-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vsm-operator.labels" -}}
{{ include "vsm-operator.selectorLabels" . }}
{{ include "vsm-operator.commonLabels" . }}
{{- end }}

{{- define "vsm-registry.selectorLabels" -}}
app.kubernetes.io/name: vsm-registry
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vsm-registry.labels" -}}
{{ include "vsm-registry.selectorLabels" . }}
{{ include "vsm-operator.commonLabels" . }}
{{- end }}

{{/* Labels that the operator gives to its intake pods and to its servers' pods. */}}
{{- define "vsm-intake.selectorLabels" -}}
app.kubernetes.io/component: intake
app.kubernetes.io/managed-by: vsm-operator
{{- end }}

{{- define "vsm-server.selectorLabels" -}}
app.kubernetes.io/component: server
app.kubernetes.io/managed-by: vsm-operator
{{- end }}

{{/* Reference of an image: dict "image" (repository, tag, digest) "defaultTag". A digest needs no tag beside it. */}}
{{- define "vsm-operator.image" -}}
{{- $tag := .image.tag -}}
{{- if not (or $tag .image.digest) }}{{ $tag = .defaultTag }}{{ end -}}
{{ .image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "vsm-operator.pushUrl" -}}
{{- if .Values.registry.embedded -}}
http://vsm-registry.{{ .Release.Namespace }}.svc:5000
{{- else -}}
{{ .Values.registry.pushUrl }}
{{- end -}}
{{- end }}

{{- define "vsm-operator.pullUrl" -}}
{{- if .Values.registry.embedded -}}
http://vsm-registry.{{ .Release.Namespace }}.svc:5001
{{- else -}}
{{ .Values.registry.pullUrl }}
{{- end -}}
{{- end }}

{{- define "vsm-operator.caBundleConfigMap" -}}
{{- if .Values.intake.caBundle -}}
vsm-ca-bundle
{{- else -}}
{{ .Values.intake.caBundleConfigMap }}
{{- end -}}
{{- end }}

{{/* Address range of the proxy, or nothing when no rule can be made from the URL. */}}
{{- define "vsm-operator.proxyCidr" -}}
{{- $host := regexReplaceAll ":[0-9]+$" (urlParse .Values.intake.httpsProxy).host "" -}}
{{- if .Values.intake.httpsProxyCidr -}}
{{ .Values.intake.httpsProxyCidr }}
{{- else if regexMatch "^[0-9]{1,3}([.][0-9]{1,3}){3}$" $host -}}
{{ $host }}/32
{{- end -}}
{{- end }}

{{/* Port of the URL given. */}}
{{- define "vsm-operator.urlPort" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{ $port | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}

{{/* Values that contradict each other: said here, in words, since a schema only says that something does not match. */}}
{{- define "vsm-operator.validate" -}}
{{- range list "securityEnabled" "sandboxEnabled" -}}
{{- if not (index $.Values.operator .) -}}
{{- fail (printf "operator.%s=false is refused: no unverified or unconfined server can run; leave it true" .) -}}
{{- end -}}
{{- end -}}
{{- $registry := .Values.registry -}}
{{- if $registry.embedded -}}
{{- if or $registry.pushUrl $registry.pullUrl -}}
{{- fail "registry.pushUrl and registry.pullUrl name a registry of your own: set registry.embedded=false with them, or leave them empty" -}}
{{- end -}}
{{- if $registry.pullSecret -}}
{{- fail "registry.pullSecret is for a registry of your own: set registry.embedded=false with it, or leave it empty (the embedded registry is read without credentials)" -}}
{{- end -}}
{{- else if not (and $registry.pushUrl $registry.pullUrl $registry.cidrs) -}}
{{- fail "registry.embedded is false: set registry.pushUrl and registry.pullUrl to the registry that takes the bundles, and registry.cidrs to its addresses (servers reach nothing that is not named)" -}}
{{- end -}}
{{- if and .Values.intake.caBundle .Values.intake.caBundleConfigMap -}}
{{- fail "intake.caBundle and intake.caBundleConfigMap are both set: keep the one that holds your certificate authorities" -}}
{{- end -}}
{{- if and .Values.intake.httpsProxy (not (include "vsm-operator.proxyCidr" .)) (not .Values.networkPolicy.intakeExtraEgress) -}}
{{- fail (printf "intake.httpsProxy is %s: a NetworkPolicy knows no host names, so set intake.httpsProxyCidr to the proxy's address range (or networkPolicy.intakeExtraEgress, if it is a pod of this cluster)" .Values.intake.httpsProxy) -}}
{{- end -}}
{{- end }}
