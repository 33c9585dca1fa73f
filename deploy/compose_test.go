package deploy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.yaml.in/yaml/v3"

	"s3gate/internal/s3gatetest"
	"s3gate/s3client"
)

// composition is what matters here of a compose.yaml.
type composition struct {
	Services map[string]struct {
		Image   string
		Secrets []string
		Configs []struct{ Source, Target string }
		Ports   []string
		Ulimits struct{ Nofile int }

		Environment any
		MemLimit    string   `yaml:"mem_limit"`
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
	}
	Configs, Secrets map[string]struct{ File string }
}

func compose(t *testing.T) (c composition) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, "compose", "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// secrets makes those of Compose in a new folder, by the documented command.
func secrets(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "make-secrets.sh"), read(t, "compose", "make-secrets.sh"))
	if err := said(exec.Command("sh", filepath.Join(dir, "make-secrets.sh"))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "secrets")
}

func TestCompose(t *testing.T) {
	c := compose(t)
	for name, file := range c.Configs {
		if _, err := os.Stat(filepath.Join("compose", file.File)); err != nil {
			t.Errorf("config %s: %v", name, err)
		}
	}
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			if c.Secrets[secret].File == "" {
				t.Errorf("%s wants a secret %s that there is not", name, secret)
			}
		}
		for _, file := range s.Configs {
			if c.Configs[file.Source].File == "" {
				t.Errorf("%s wants a config %s that there is not", name, file.Source)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s is open to the network at %s", name, port)
			}
		}
		_, tag, _ := strings.Cut(s.Image, ":")
		if gate := strings.HasPrefix(name, "gate-"); gate && (!s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || len(s.SecurityOpt) == 0) {
			t.Errorf("%s may do more than it needs", name)
		} else if !gate && (tag == "" || tag == "latest") {
			t.Errorf("%s runs %s, whatever that is on the day", name, s.Image)
		}
	}
}

// The documented command makes every secret that Compose asks for, good ones, and never
// another one in its place.
func TestComposeSecrets(t *testing.T) {
	dir := secrets(t)
	before := map[string]string{}
	for name, secret := range compose(t).Secrets {
		text := read(t, dir, strings.TrimPrefix(secret.File, "./secrets/"))
		if len(text) < 40 || strings.TrimSpace(text) != strings.TrimSuffix(text, "\n") {
			t.Errorf("%s is %d bytes", name, len(text))
		}
		before[name] = text
	}
	if before["redis_auth"] != "requirepass "+before["redis_password"]+"\n" {
		t.Error("Redis and the gates have different passwords")
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v (%v)", info.Mode(), err)
	}
	if err := said(exec.Command("sh", filepath.Join(filepath.Dir(dir), "make-secrets.sh"))); err != nil {
		t.Fatal(err)
	}
	for name, secret := range compose(t).Secrets {
		if read(t, dir, strings.TrimPrefix(secret.File, "./secrets/")) != before[name] {
			t.Errorf("the second time made another %s", name)
		}
	}
	if !strings.Contains(read(t, "compose", ".gitignore"), "/secrets/\n") {
		t.Error("git would take the secrets")
	}
}

// Prometheus asks every gate where it has metrics, as the job that the alerts are about.
func TestComposeMonitoring(t *testing.T) {
	var asks struct {
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "compose", "prometheus.yaml")), &asks); err != nil {
		t.Fatal(err)
	}
	port := find(t, read(t, "compose", "s3gate.yaml"), `ops: \{addr: ":(\d+)"\}`)
	for name := range compose(t).Services {
		if strings.HasPrefix(name, "gate-") && !slices.Contains(asks.ScrapeConfigs[0].StaticConfigs[0].Targets, name+":"+port) {
			t.Errorf("nobody asks %s", name)
		}
	}
	if asks.ScrapeConfigs[0].JobName != "s3gate" {
		t.Error("the alerts are about another job")
	}
}

// settings writes s3gate.yaml with secrets from dir, and returns where.
func settings(t *testing.T, dir string) string {
	t.Helper()
	text := read(t, "compose", "s3gate.yaml")
	mounted := compose(t).Services["gate-a"].Secrets
	for line := range strings.Lines(text) {
		_, name, ok := strings.Cut(strings.TrimRight(line, "}\n"), "/run/secrets/")
		if ok && !slices.Contains(mounted, strings.TrimRight(name, "} ")) {
			t.Errorf("gates are not given the secret %s", name)
		}
	}
	path := filepath.Join(t.TempDir(), "s3gate.yaml")
	write(t, path, strings.ReplaceAll(text, "/run/secrets/", dir+"/"))
	return path
}

func TestComposeSettings(t *testing.T) {
	program(t, "make", "apt-get install make")
	configCheck(t, settings(t, secrets(t)))
}

// What MinIO is told the gate's user may do is what the binary says.
func TestComposePolicies(t *testing.T) {
	program(t, "make", "apt-get install make")
	config := settings(t, secrets(t))
	for file, args := range map[string][]string{
		"store-policy.json": {"bucket", "iam", "docs", "--config", config},
		"store-lock.json":   {"bucket", "lock", "docs", "--config", config, "--print", "iam"},
	} {
		same(t, filepath.Join("compose", file), output(t, exec.Command(s3gate(t), args...)))
	}
}

// With those policies MinIO lets the gate do what it does to a canary, and nobody presign.
// Here they are those of a session, since only MinIO's own client makes users.
func TestComposePoliciesInMinIO(t *testing.T) {
	program(t, "make", "apt-get install make")
	e := s3gatetest.MinIO(t)
	b, err := s3client.Open(t.Context(), s3client.Config{
		Name: "docs", Region: e.Region, Endpoint: e.URL, PathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(e.AccessKey, e.Secret, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	var both struct {
		Version   string
		Statement []json.RawMessage
	}
	for _, file := range []string{"store-policy.json", "store-lock.json"} {
		var one struct{ Statement []json.RawMessage }
		if err := json.Unmarshal([]byte(read(t, "compose", file)), &one); err != nil {
			t.Fatal(err)
		}
		both.Version, both.Statement = "2012-10-17", append(both.Statement, one.Statement...)
	}
	policy, err := json.Marshal(both)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s3gate(t), "bucket", "verify", "docs", "--config", settings(t, secrets(t)))
	cmd.Env = append(os.Environ(),
		"S3GATE_BUCKETS_DOCS_ENDPOINT="+e.URL,
		"S3GATE_BUCKETS_DOCS_ACCESS_KEY_ID="+e.AccessKey,
		"S3GATE_BUCKETS_DOCS_SECRET_ACCESS_KEY="+e.Secret,
		"S3GATE_BUCKETS_DOCS_ASSUME_ROLE_ENDPOINT="+e.URL,
		"S3GATE_BUCKETS_DOCS_ASSUME_ROLE_SESSION_POLICY="+string(policy),
	)
	if err := said(cmd); err != nil {
		t.Error(err)
	}
}

// The settings work with a Redis that has the redis.conf beside them: what is one gate's
// is the other's, and what was acknowledged is on the disk.
func TestComposeRuns(t *testing.T) {
	program(t, "make", "apt-get install make")
	server := program(t, "redis-server", "apt-get install redis-server")
	dir := secrets(t)
	config := settings(t, dir)
	store := s3gatetest.DevS3(t)

	port := freePort(t)
	conf := strings.NewReplacer("/run/secrets", dir, "dir /data", "dir "+t.TempDir()).Replace(read(t, "compose", "redis.conf"))
	path := filepath.Join(t.TempDir(), "redis.conf")
	write(t, path, fmt.Sprintf("%s\nport %s\nbind 127.0.0.1\n", conf, port))
	s3gatetest.Start(t, nil, server, path)

	apis := make([]string, 2)
	for i := range apis {
		api := freePort(t)
		gate := s3gatetest.Start(t, []string{
			"S3GATE_REDIS_ADDRS=127.0.0.1:" + port,
			"S3GATE_BUCKETS_DOCS_ENDPOINT=" + store.URL,
			"S3GATE_BUCKETS_DOCS_ACCESS_KEY_ID=" + store.AccessKey,
			"S3GATE_BUCKETS_DOCS_SECRET_ACCESS_KEY=" + store.Secret,
			"S3GATE_LINKS_ADDR=127.0.0.1:0", "S3GATE_OPS_ADDR=127.0.0.1:0", "S3GATE_API_ADDR=127.0.0.1:" + api,
		}, s3gate(t), "serve", "--config", config)
		apis[i] = "http://127.0.0.1:" + api
		gate.Await(func() error {
			got, err := get(apis[i] + "/readyz")
			if err == nil && got["durability"] != "disk" {
				err = fmt.Errorf("ready with %v", got)
			}
			return err
		})
	}

	jwt := strings.TrimSpace(output(t, exec.Command(s3gate(t), "auth", "token", "--config", config)))
	var minted struct{ ID string }
	ask(t, apis[0], jwt, &minted, "token", "mint", "get", "docs/report.pdf", "--json")
	var seen struct{ ID string }
	ask(t, apis[1], jwt, &seen, "token", "show", minted.ID, "--json")
	if minted.ID == "" || seen.ID != minted.ID {
		t.Errorf("one gate has minted %q, the other one knows %q", minted.ID, seen.ID)
	}
}

// ask runs a command of the client with a gate, and decodes what it prints.
func ask(t *testing.T, api, jwt string, into any, args ...string) {
	t.Helper()
	cmd := exec.Command(s3gate(t), args...)
	cmd.Env = append(os.Environ(), "S3GATE_API_URL="+api, "S3GATE_API_TOKEN="+jwt)
	if err := json.Unmarshal([]byte(output(t, cmd)), into); err != nil {
		t.Fatal(err)
	}
}

func get(url string) (got map[string]any, err error) {
	res, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, raw)
	}
	if err == nil {
		err = json.Unmarshal(raw, &got)
	}
	return got, err
}

// freePort returns one that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
