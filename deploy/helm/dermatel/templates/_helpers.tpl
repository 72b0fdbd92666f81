{{- define "dermatel.labels" -}}
app.kubernetes.io/name: dermatel
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "dermatel.selector" -}}
app.kubernetes.io/name: dermatel
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dermatel.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* Files of the registry: a key of a ConfigMap has no "/". */ -}}
{{- define "dermatel.key" -}}
{{ . | replace "/" "__" }}
{{- end }}

{{- /* The process that leads the registry: refuses what no fleet can follow. Empty: nobody leads. */ -}}
{{- define "dermatel.leader" -}}
{{- $leads := .Values.registryLeads -}}
{{- if $leads.process -}}
{{- $found := dict -}}
{{- range .Values.processes -}}
{{- if eq .name $leads.process -}}{{- $_ := set $found "it" . -}}{{- end -}}
{{- end -}}
{{- if not $found.it -}}
{{- fail (printf "registryLeads.process: there is no process %s" $leads.process) -}}
{{- end -}}
{{- if ne $found.it.command "alerting" -}}
{{- fail (printf "registryLeads.process: %s is %s, only alerting leads" $leads.process $found.it.command) -}}
{{- end -}}
{{- if ge (int $leads.ordinal) (int $found.it.replicas) -}}
{{- fail (printf "registryLeads.ordinal: %d, but %s has %d replicas" (int $leads.ordinal) $leads.process (int $found.it.replicas)) -}}
{{- end -}}
{{- if not (and (regexMatch "(?m)^\\[node\\][ \\t]*$" .Values.config) (regexMatch "(?m)^\\[http\\][ \\t]*$" .Values.config)) -}}
{{- fail "registryLeads: config needs a line [node] and a line [http], behind which the chart writes who leads" -}}
{{- end -}}
{{- if regexMatch "(?m)^[ \\t]*(registry_leads|registry_from)[ \\t]*[.=]" .Values.config -}}
{{- fail "registryLeads: take registry_leads and registry_from out of config, the chart writes them" -}}
{{- end -}}
{{ $leads.process }}-{{ int $leads.ordinal }}
{{- end -}}
{{- end }}

{{- /* The configuration of one pod before its own piece: (list $ process ordinal). */ -}}
{{- define "dermatel.config" -}}
{{- $top := index . 0 -}}{{- $process := index . 1 -}}{{- $ordinal := index . 2 -}}
{{- $leads := $top.Values.registryLeads -}}
{{- $leader := include "dermatel.leader" $top -}}
{{- $config := $top.Values.config -}}
{{- if and $leader (ne $process.command "up") -}}
{{- $secret := printf "/run/secrets/%s" $leads.secret -}}
{{- if eq $leader (printf "%s-%d" $process.name (int $ordinal)) -}}
{{- $config = regexReplaceAllLiteral "(?m)^\\[node\\][ \\t]*$" $config "[node]\nregistry_leads = true" -}}
{{- $config = regexReplaceAllLiteral "(?m)^\\[http\\][ \\t]*$" $config (printf "[http]\ntoken = { file = %q }" (printf "%s/token" $secret)) -}}
{{- else -}}
{{- $url := printf "http://%s-%s.%s-%s:9464/v1/registry/lines" $top.Release.Name $leader $top.Release.Name $leads.process -}}
{{- $from := printf "registry_from = { url = %q, authorization = { file = %q } }" $url (printf "%s/authorization" $secret) -}}
{{- $config = regexReplaceAllLiteral "(?m)^\\[node\\][ \\t]*$" $config (printf "[node]\n%s" $from) -}}
{{- end -}}
{{- end -}}
{{ $config }}
{{- end }}

{{- /* Names of the Secrets that are mounted, as JSON. */ -}}
{{- define "dermatel.secrets" -}}
{{- $leads := .Values.registryLeads -}}
{{- if $leads.process -}}
{{ append .Values.secrets $leads.secret | uniq | toJson }}
{{- else -}}
{{ .Values.secrets | toJson }}
{{- end -}}
{{- end }}
