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
