{{- define "vsm-operator.dnsEgress" -}}
{{- with .Values.networkPolicy.dns -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .namespace }}
      podSelector:
        matchLabels:
          {{- toYaml .podLabels | nindent 10 }}
    {{- range .cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
  ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}
{{- end }}

{{/*
What an intake pod must not reach although it may reach "the internet": the cluster, its nodes, the neighbours, and the
metadata service of the cloud. IANA special-purpose ranges, and the address that Azure's hosts answer on.
*/}}
{{- define "vsm-operator.closedRanges4" -}}
- 0.0.0.0/8
- 10.0.0.0/8
- 100.64.0.0/10
- 127.0.0.0/8
- 168.63.129.16/32
- 169.254.0.0/16
- 172.16.0.0/12
- 192.0.0.0/24
- 192.168.0.0/16
- 198.18.0.0/15
- 224.0.0.0/4
- 240.0.0.0/4
{{- end }}

{{/*
Ranges that carry an IPv4 address inside (NAT64, 6to4, Teredo) would lead around the list above. Mapped addresses,
::ffff:0:0/96, are missing on purpose: they leave a pod as IPv4 packets, and the API server refuses the range here.
*/}}
{{- define "vsm-operator.closedRanges6" -}}
- "::/128"
- "::1/128"
- "64:ff9b::/96"
- "64:ff9b:1::/48"
- "100::/64"
- "2001::/32"
- "2001:db8::/32"
- "2002::/16"
- "fc00::/7"
- "fe80::/10"
- "fec0::/10"
- "ff00::/8"
{{- end }}
