package deploy_test

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// manifest is what matters here of what the chart makes.
type manifest struct {
	Kind     string
	Metadata struct {
		Name        string
		Annotations map[string]string
	}
	Data map[string]string
	Spec struct {
		Replicas *int
		Template struct{ Spec pod }
		Ports    []struct {
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
	}
}

type pod struct {
	Grace           int  `yaml:"terminationGracePeriodSeconds"`
	Automount       bool `yaml:"automountServiceAccountToken"`
	SecurityContext struct {
		RunAsNonRoot bool `yaml:"runAsNonRoot"`
		FSGroup      int  `yaml:"fsGroup"`
	} `yaml:"securityContext"`
	Containers []struct {
		Image           string
		SecurityContext struct {
			ReadOnly   bool  `yaml:"readOnlyRootFilesystem"`
			Escalation *bool `yaml:"allowPrivilegeEscalation"`
		} `yaml:"securityContext"`
		Env       []variable
		Lifecycle struct {
			PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
		}
		LivenessProbe  probe   `yaml:"livenessProbe"`
		ReadinessProbe probe   `yaml:"readinessProbe"`
		VolumeMounts   []mount `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		Projected struct {
			Sources []struct {
				Secret struct {
					Name  string
					Items []struct{ Key, Path string }
				}
			}
		}
	}
}

type variable struct {
	Name, Value string
	ValueFrom   map[string]map[string]string `yaml:"valueFrom"`
}

type mount struct {
	Name      string
	MountPath string `yaml:"mountPath"`
}

type probe struct {
	HTTPGet struct{ Path, Port, Scheme string } `yaml:"httpGet"`
}

// chart renders the chart with files of values, and returns what it makes by kind and name.
func chart(t *testing.T, values ...string) map[string]manifest {
	t.Helper()
	args := []string{abs(t, "helm", "s3gate")}
	for _, file := range values {
		args = append(args, abs(t, file))
	}
	text := output(t, tool(t, "chart", args...))
	all := map[string]manifest{}
	for dec := yaml.NewDecoder(strings.NewReader(text)); ; {
		var m manifest
		if err := dec.Decode(&m); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if m.Kind != "" {
			all[m.Kind+" "+m.Metadata.Name] = m
		}
	}
}

// A gate that the chart runs has settings that the binary takes, drains before it is
// killed, and is asked whether it is ready.
func TestChart(t *testing.T) {
	program(t, "make", "apt-get install make")
	for name, test := range map[string]struct {
		values   []string
		scheme   string
		drain    time.Duration
		replicas bool
	}{
		"by default": {nil, "HTTP", 30 * time.Second, true},
		"everything": {[]string{"helm/s3gate/ci/everything.yaml"}, "HTTPS", 2 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			all := chart(t, test.values...)
			deployment, ok := all["Deployment files-s3gate"]
			if !ok {
				t.Fatalf("there is no deployment among %d manifests", len(all))
			}
			checkSettings(t, all["ConfigMap files-s3gate"].Data["s3gate.yaml"], deployment.Spec.Template.Spec)
			checkPod(t, deployment.Spec.Template.Spec, test.drain, test.scheme)
			if set := deployment.Spec.Replicas != nil; set != test.replicas {
				t.Errorf("the number of replicas is set: %t", set)
			}
			if _, scales := all["HorizontalPodAutoscaler files-s3gate"]; scales == test.replicas {
				t.Errorf("it scales by itself: %t", scales)
			}
			for _, want := range []string{"PodDisruptionBudget files-s3gate", "ServiceAccount files-s3gate", "Service files-s3gate-links", "Service files-s3gate-api"} {
				if _, ok := all[want]; !ok {
					t.Errorf("there is no %s", want)
				}
			}
			for name, m := range all {
				if m.Kind == "Secret" {
					t.Errorf("%s: secrets are made by somebody else", name)
				}
			}
			links := all["Service files-s3gate-links"].Spec.Ports
			if len(links) != 1 || links[0].TargetPort != "links" {
				t.Errorf("who may open links may ask %v", links)
			}
		})
	}
}

// checkSettings has the binary check the settings, with a file for each secret that is
// mounted.
func checkSettings(t *testing.T, config string, p pod) {
	t.Helper()
	dir := t.TempDir()
	for _, v := range p.Volumes {
		for _, s := range v.Projected.Sources {
			for _, item := range s.Secret.Items {
				write(t, filepath.Join(dir, "etc/s3gate/secrets", item.Path), strings.Repeat("k", 32))
			}
		}
	}
	pair := certificate(t)
	file := filepath.Join(dir, "s3gate.yaml")
	write(t, file, config)
	var env []string
	for _, v := range p.Containers[0].Env {
		value := v.Value
		holds := func(m mount) bool { return strings.HasPrefix(value, m.MountPath) }
		if strings.HasPrefix(value, "/") && !slices.ContainsFunc(p.Containers[0].VolumeMounts, holds) {
			t.Errorf("%s is %s, which is not mounted", v.Name, value)
		}
		switch {
		case v.Name == "S3GATE_CONFIG":
			value = file
		case strings.HasSuffix(value, "/tls.crt"):
			value = pair.cert
		case strings.HasSuffix(value, "/tls.key"):
			value = pair.key
		case strings.HasPrefix(value, "/"):
			value = dir + value
		}
		env = append(env, v.Name+"="+value)
	}
	configCheck(t, "", env...)
}

func checkPod(t *testing.T, p pod, drain time.Duration, scheme string) {
	t.Helper()
	c := p.Containers[0]
	at := slices.IndexFunc(c.Env, func(v variable) bool { return v.Name == "S3GATE_DRAIN_TIMEOUT" })
	if got, err := time.ParseDuration(c.Env[at].Value); err != nil || got != drain {
		t.Errorf("it drains for %v (%v), want %v", got, err, drain)
	}
	if grace := time.Duration(p.Grace-c.Lifecycle.PreStop.Sleep.Seconds) * time.Second; grace < drain+lastSteps {
		t.Errorf("it is killed after %v, and may drain for %v", grace, drain)
	}
	if !p.SecurityContext.RunAsNonRoot || !c.SecurityContext.ReadOnly || c.SecurityContext.Escalation == nil || *c.SecurityContext.Escalation || p.Automount {
		t.Error("it may do more than it needs")
	}
	for path, got := range map[string]probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if got.HTTPGet.Path != path || got.HTTPGet.Port != "api" || got.HTTPGet.Scheme != scheme {
			t.Errorf("a probe asks %+v, not for %s", got.HTTPGet, path)
		}
	}
}

// What somebody has mistyped is said, and not left out: a value, a setting of the gate's
// that is the chart's, a field of Kubernetes.
func TestChartIsStrict(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "chart")
	copyTree(t, filepath.Join("helm", "s3gate"), broken)
	template := filepath.Join(broken, "templates", "deployment.yaml")
	write(t, template, strings.Replace(read(t, template), "readOnlyRootFilesystem", "readOnlyRootFileSystem", 1))
	good := abs(t, "helm", "s3gate")
	for name, test := range map[string]struct{ chart, values, want string }{
		"a value":                        {good, "replica: 3\n", "replica"},
		"a setting":                      {good, "config: {links: {addr: \":80\"}}\n", "addr"},
		"a variable that is the chart's": {good, "env: [{name: S3GATE_API_ADDR, value: \":80\"}]\n", "env"},
		"a field of a variable":          {good, "env: [{name: A, valeu: b}]\n", "valeu"},
		"memory":                         {good, "resources: {limits: {memory: 1 GiB}}\n", "1 GiB"},
		"a secret":                       {good, "secrets: {redis.password: {secret: redis}}\n", "key"},
		"a field":                        {broken, "{}\n", "readOnlyRootFileSystem"},
	} {
		t.Run(name, func(t *testing.T) {
			values := filepath.Join(t.TempDir(), "values.yaml")
			write(t, values, test.values)
			err := said(tool(t, "chart", test.chart, values))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want something about %s", err, test.want)
			}
		})
	}
}

// Go is told what the container may have, and no more connections are taken than fit into
// that. Whoever knows better is heeded.
func TestChartKnowsItsMemory(t *testing.T) {
	for values, want := range map[string][2]string{
		"{}\n":                                        {"644245094", "5898"},
		"tls: {links: files-tls}\n":                   {"644245094", "1228"},
		"resources: {limits: {memory: 8Gi}}\n":        {"6871947673", "10922"},
		"resources: {limits: {memory: 1000000000}}\n": {"800000000", "9700"},
		"resources: {limits: {memory: 1.5G}}\n":       {"1200000000", "10922"},
		"resources: {limits: {memory: 0}}\n":          {"", ""},
		"config: {upload: {memory: 33554432}}\nresources: {limits: {memory: 256Mi}}\n":               {"214748364", "1146"},
		"config: {links: {max_connections: 7}}\n":                                                    {"644245094", ""},
		"env: [{name: GOMEMLIMIT, value: 1GiB}, {name: S3GATE_LINKS_MAX_CONNECTIONS, value: \"9\"}]": {"1GiB", "9"},
	} {
		path := filepath.Join(t.TempDir(), "values.yaml")
		write(t, path, values)
		got := map[string][]string{}
		for _, v := range chart(t, path)["Deployment files-s3gate"].Spec.Template.Spec.Containers[0].Env {
			got[v.Name] = append(got[v.Name], v.Value)
		}
		for i, name := range []string{"GOMEMLIMIT", "S3GATE_LINKS_MAX_CONNECTIONS"} {
			if all := strings.Join(got[name], " and "); all != want[i] {
				t.Errorf("%s: %s is %q, want %q", values, name, all, want[i])
			}
		}
	}
}

// What somebody adds to the container is in it, also what comes from a Secret.
func TestChartTakesMore(t *testing.T) {
	p := chart(t, "helm/s3gate/ci/everything.yaml")["Deployment files-s3gate"].Spec.Template.Spec
	c := p.Containers[0]
	if !slices.ContainsFunc(c.Env, func(v variable) bool {
		return v.Name == "OTEL_EXPORTER_OTLP_HEADERS" && v.ValueFrom["secretKeyRef"]["name"] == "collector"
	}) {
		t.Errorf("the variables are %+v", c.Env)
	}
	if !slices.Contains(c.VolumeMounts, mount{"ca", "/etc/s3gate/ca"}) {
		t.Errorf("the mounts are %+v", c.VolumeMounts)
	}
	for _, v := range p.Volumes {
		if v.Name == "ca" {
			return
		}
	}
	t.Errorf("the volumes are %+v", p.Volumes)
}

// Settings with which a pod would never be ready, or ask for certificates again at every
// start, are refused.
func TestChartRefuses(t *testing.T) {
	const acme = "config: {links: {acme: true}, acme: {agree: true, storage: /var/lib/s3gate/acme, http_addr: \"\"}}\nextraVolumes: [{name: a, emptyDir: {}}]\n"
	for name, test := range map[string]struct{ values, want string }{
		"ACME without a volume":        {acme, "extraVolumeMounts"},
		"ACME beside the volume":       {acme + "extraVolumeMounts: [{name: a, mountPath: /var/lib/s3gate/ac}]\n", "extraVolumeMounts"},
		"ACME that nobody can write":   {acme + "extraVolumeMounts: [{name: a, mountPath: /var/lib/s3gate, readOnly: true}]\n", "extraVolumeMounts"},
		"ACME on a volume":             {acme + "extraVolumeMounts: [{name: a, mountPath: /var/lib/s3gate/}]\n", ""},
		"ACME for the API":             {"config: {api: {acme: true}}\n", "tls.api"},
		"headers of the PROXY":         {"config: {api: {proxy_protocol: required}}\n", "optional"},
		"no headers of the PROXY":      {"config: {api: {proxy_protocol: off}}\n", ""},
		"client certificates":          {"tls: {api: t}\nconfig: {api: {client_ca: /etc/s3gate/ca/ca.crt}}\n", "require-but-health"},
		"client certificates, by name": {"tls: {api: t}\nconfig: {api: {client_ca: /a, client_auth: require}}\n", "require-but-health"},
		"but not for health":           {"tls: {api: t}\nconfig: {api: {client_ca: /a, client_auth: require-but-health}}\n", ""},
		"too little memory":            {"resources: {limits: {memory: 256Mi}}\n", "upload.memory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "values.yaml")
			write(t, path, test.values)
			err := said(tool(t, "chart", abs(t, "helm", "s3gate"), path))
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want something about %q", err, test.want)
			}
		})
	}
}
