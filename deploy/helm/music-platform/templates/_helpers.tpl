{{- define "music.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{- $name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "music.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "music.labels" -}}
{{ include "music.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "music.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Pod Security Standards, restricted. */}}
{{- define "music.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "music.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A container that serves one service of the platform. Takes root, service, args, grace. */}}
{{- define "music.container" -}}
name: {{ .service }}
image: {{ include "music.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ .args | toJson }}
envFrom:
  - configMapRef: {name: {{ include "music.name" .root }}}
volumeMounts:
  - {name: home, mountPath: /var/lib/music}
  - {name: tmp, mountPath: /tmp}
  - {name: secrets, mountPath: /run/secrets, readOnly: true}
  {{- if .root.Values.keys.name }}
  - {name: keys, mountPath: /etc/music-platform/keys, readOnly: true}
  {{- end }}
securityContext:
  {{- include "music.security" .root | nindent 2 }}
resources:
  {{- get .root.Values.resources .service | toYaml | nindent 2 }}
startupProbe:
  exec: {command: [music-platform, health, {{ .service }}]}
  periodSeconds: 10
  timeoutSeconds: 30
  failureThreshold: 60
livenessProbe:
  exec: {command: [music-platform, health, {{ .service }}]}
  periodSeconds: 60
  timeoutSeconds: 30
  failureThreshold: 5
{{- end }}
