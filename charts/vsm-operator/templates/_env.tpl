{{/* The operator's whole configuration. An empty value means: not set, the operator's own default. */}}
{{- define "vsm-operator.env" -}}
{{- $values := .Values -}}
- name: VSM_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: VSM_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- $settings := list
  (list "VSM_WATCH_NAMESPACES" (join "," $values.operator.watchNamespaces))
  (list "VSM_WORKERS" (int $values.operator.workers))
  (list "VSM_PROBE_WORKERS" (int $values.operator.probeWorkers))
  (list "VSM_LOG_LEVEL" $values.operator.logLevel)
  (list "VSM_MAX_CONCURRENT_INSTALLS" (int $values.operator.maxConcurrentInstalls))
  (list "VSM_CACHE_TTL_SECONDS" (int $values.operator.cacheTtlSeconds))
  (list "VSM_HTTP_TIMEOUT_MS" (int $values.operator.httpTimeoutMs))
  (list "VSM_SECURITY_ENABLED" $values.operator.securityEnabled)
  (list "VSM_SANDBOX_ENABLED" $values.operator.sandboxEnabled)
  (list "VSM_AUDIT_LOGGING" $values.operator.auditLogging)
  (list "VSM_RUNTIME_IMAGE" (include "vsm-operator.image" (dict "image" $values.runtime.image "defaultTag" .Chart.AppVersion)))
  (list "VSM_IMAGE_PULL_POLICY" $values.runtime.image.pullPolicy)
  (list "VSM_IMAGE_PULL_SECRETS" (join "," $values.runtime.imagePullSecrets))
  (list "VSM_RUNTIME_CLASS_NAME" $values.server.runtimeClassName)
  (list "VSM_SERVER_CPU_LIMIT" $values.server.cpuLimit)
  (list "VSM_SERVER_MEMORY_LIMIT" $values.server.memoryLimit)
  (list "VSM_SERVER_MAX_PIDS" (int $values.server.maxPids))
  (list "VSM_SERVER_EPHEMERAL_STORAGE_LIMIT" $values.server.ephemeralStorageLimit)
  (list "VSM_SERVER_METRICS_FROM" (ternary (toJson $values.server.metricsFrom) "" (gt (len $values.server.metricsFrom) 0)))
  (list "VSM_API_SERVER_CIDRS" (join "," $values.networkPolicy.apiServer.cidrs))
  (list "VSM_API_SERVER_PORTS" (join "," $values.networkPolicy.apiServer.ports))
  (list "VSM_NPM_REGISTRY" $values.intake.npmRegistry)
  (list "VSM_PYPI_INDEX" $values.intake.pypiIndex)
  (list "VSM_HTTPS_PROXY" $values.intake.httpsProxy)
  (list "VSM_NO_PROXY" $values.intake.noProxy)
  (list "VSM_CA_BUNDLE_CONFIGMAP" (include "vsm-operator.caBundleConfigMap" .))
  (list "VSM_REGISTRY_EMBEDDED" $values.registry.embedded)
  (list "VSM_REGISTRY_PUSH_URL" (include "vsm-operator.pushUrl" .))
  (list "VSM_REGISTRY_PULL_URL" (include "vsm-operator.pullUrl" .))
  (list "VSM_REGISTRY_REPOSITORY" $values.registry.repository)
  (list "VSM_REGISTRY_CREDENTIALS_SECRET" $values.registry.credentialsSecret)
  (list "VSM_REGISTRY_PULL_SECRET" $values.registry.pullSecret)
  (list "VSM_REGISTRY_CIDRS" (join "," $values.registry.cidrs))
}}
{{- range $setting := $settings }}
- name: {{ index $setting 0 }}
  value: {{ index $setting 1 | toString | quote }}
{{- end }}
{{- with $values.operator.anthropicApiKey }}
{{- if .existingSecret }}
- name: ANTHROPIC_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- end }}
