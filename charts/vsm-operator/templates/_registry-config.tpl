{{/* Configuration of one of the registry's containers; the argument says whether it only reads. */}}
{{- define "vsm-registry.config" -}}
version: 0.1
log:
  level: info
  formatter: json
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: /var/lib/registry
  cache:
    blobdescriptor: inmemory
  delete:
    enabled: false
  redirect:
    disable: true
  {{- if . }}
  maintenance:
    uploadpurging:
      enabled: false
    readonly:
      enabled: true
  {{- end }}
http:
  addr: 0.0.0.0:{{ ternary 5001 5000 . }}
  draintimeout: 20s
  headers:
    X-Content-Type-Options: [nosniff]
{{- if not . }}
auth:
  htpasswd:
    realm: vsm-registry
    path: /var/run/secrets/vsm-registry/htpasswd
{{- end }}
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
{{- end }}
