{{- define "s3gate.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "s3gate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "s3gate.labels" -}}
{{ include "s3gate.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "s3gate.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "s3gate.name" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- /* The variable of a setting: api.jwt.hs256_key is S3GATE_API_JWT_HS256_KEY. */}}
{{- define "s3gate.variable" -}}
S3GATE_{{ . | replace "." "_" | upper }}
{{- end }}

{{- /* What a container of a gate may have of memory, in bytes; 0 where nothing says so. */}}
{{- define "s3gate.memory" -}}
{{- $limit := dig "limits" "memory" 0 .Values.resources }}
{{- if kindIs "string" $limit }}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" $limit }}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $unit := trimPrefix $number $limit }}
{{- if not (and $number (hasKey $units $unit)) }}{{ fail (printf "resources.limits.memory is %s: say it in Mi or Gi" $limit) }}{{ end }}
{{- mulf $number (get $units $unit) | int64 }}
{{- else }}{{ int64 $limit }}{{ end }}
{{- end }}

{{- /* Four fifths of that are Go's. The rest is for what Go does not count, such as the
       kernel's buffers for sockets, which are the container's too. */}}
{{- define "s3gate.goMemory" -}}
{{- div (mul 4 (include "s3gate.memory" . | int64)) 5 }}
{{- end }}

{{- /* How many connections fit into that, beside uploads, grants and 64 MiB for the gate
       itself: 40 KiB each, 192 KiB with TLS, as docs/limits.md has measured. Not more than a
       sixth of 65,536 files. */}}
{{- define "s3gate.connections" -}}
{{- $tls := or .Values.tls.links (dig "links" "acme" false .Values.config) }}
{{- $kept := add (dig "upload" "memory" 268435456 .Values.config | int64) (dig "tokens" "cache_bytes" 67108864 .Values.config | int64) 67108864 }}
{{- $fit := div (sub (include "s3gate.goMemory" . | int64) $kept) (ternary 196608 40960 (not (not $tls))) }}
{{- if lt $fit 100 }}{{ fail "resources.limits.memory is too little: raise it, or lower config.upload.memory" }}{{ end }}
{{- min $fit 10922 }}
{{- end }}

{{- /* Settings that go together with nothing that the chart could make. */}}
{{- define "s3gate.check" -}}
{{- $storage := dig "acme" "storage" "" .Values.config }}
{{- $kept := false }}
{{- range .Values.extraVolumeMounts }}
{{- if and (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) (printf "%s/" $storage)) (not (dig "readOnly" false .)) }}{{ $kept = true }}{{ end }}
{{- end }}
{{- if and (dig "links" "acme" false .Values.config) (not $kept) }}
{{- fail "config.links.acme needs config.acme.storage on a volume of yours that can be written and that all gates share: name it in extraVolumes and extraVolumeMounts, or give links a certificate by tls.links" }}
{{- end }}
{{- if dig "api" "acme" false .Values.config }}
{{- fail "config.api.acme does not work here: probes ask the API, which answers nobody before it has a certificate. Name a Secret with one in tls.api" }}
{{- end }}
{{- if eq (dig "api" "proxy_protocol" "off" .Values.config | toString) "required" }}
{{- fail "config.api.proxy_protocol must not be required: probes ask the API, and send no header. Use optional, with the balancer in config.trusted_proxies" }}
{{- end }}
{{- if and (dig "api" "client_ca" "" .Values.config) (eq (dig "api" "client_auth" "require" .Values.config) "require") }}
{{- fail "config.api.client_auth must be require-but-health where api.client_ca is set: probes ask the API, and present no certificate" }}
{{- end }}
{{- end }}
