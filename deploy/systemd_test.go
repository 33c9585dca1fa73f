package deploy_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const systemdHelp = "apt-get install systemd"

// unit writes the unit with the binary that there is, and with drop-ins, and returns where.
func unit(t *testing.T, dropins ...string) string {
	t.Helper()
	program(t, "make", "apt-get install make")
	path := filepath.Join(t.TempDir(), "s3gate.service")
	write(t, path, strings.ReplaceAll(read(t, "systemd", "s3gate.service"), "/usr/local/bin/s3gate", s3gate(t)))
	for _, name := range dropins {
		write(t, filepath.Join(path+".d", name), read(t, "systemd", name))
	}
	return path
}

// systemd knows every setting of the unit: those it does not it would leave out.
func TestUnit(t *testing.T) {
	analyze := program(t, "systemd-analyze", systemdHelp)
	for name, dropins := range map[string][]string{"alone": nil, "with low ports": {"low-ports.conf"}, "with less memory": {"memory.conf"}} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(analyze, "verify", unit(t, dropins...)).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// The sockets belong to the service, and have names that the binary knows and the ports
// of its settings.
func TestSockets(t *testing.T) {
	analyze := program(t, "systemd-analyze", systemdHelp)
	service := unit(t)
	for file, want := range map[string]string{"s3gate.socket": "links", "s3gate-api.socket": "api"} {
		text := read(t, "systemd", file)
		path := filepath.Join(filepath.Dir(service), file)
		write(t, path, text)
		if out, err := exec.Command(analyze, "verify", path, service).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
		if name := find(t, text, `FileDescriptorName=(\S+)`); name != want {
			t.Errorf("%s is named %s, not %s", file, name, want)
		}
	}
	settings := read(t, "systemd", "s3gate.yaml")
	if port := find(t, read(t, "systemd", "s3gate.socket"), `ListenStream=(\S+)`); port != find(t, settings, `addr: ":(\d+)"`) {
		t.Errorf("the socket has port %s, and links.addr another", port)
	}
}

// A unit of this type never starts whose binary does not tell systemd that it has.
func TestUnitIsToldOfTheStart(t *testing.T) {
	if kind := find(t, read(t, "systemd", "s3gate.service"), `Type=(\S+)`); kind != "notify" {
		t.Errorf("it is of type %s", kind)
	}
	if text := read(t, root, "cmd", "s3gate", "serve.go"); !strings.Contains(text, "daemon.SdNotifyReady") {
		t.Error("nobody tells systemd")
	}
}

// The unit may do little: 10 is everything, and what has done nothing about it has 9.6.
func TestUnitIsConfined(t *testing.T) {
	analyze := program(t, "systemd-analyze", systemdHelp)
	for name, test := range map[string]struct {
		dropins []string
		most    string // ten times the exposure
	}{
		"alone":          {nil, "15"},
		"with low ports": {[]string{"low-ports.conf"}, "20"},
	} {
		t.Run(name, func(t *testing.T) {
			err := said(exec.Command(analyze, "security", "--offline=true", "--threshold="+test.most, "--no-pager", unit(t, test.dropins...)))
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// The settings that the unit comes with are in order once the credential is there.
func TestUnitSettings(t *testing.T) {
	program(t, "make", "apt-get install make")
	text := read(t, "systemd", "s3gate.service")
	name, from, ok := strings.Cut(find(t, text, `LoadCredential=(\S+)`), ":")
	variable := find(t, text, `Environment=(S3GATE_\w+_FILE)=%d/`+name)
	if !ok || !strings.HasPrefix(from, "/etc/s3gate/") {
		t.Fatalf("the credential %s comes from %s", name, from)
	}
	key := filepath.Join(t.TempDir(), name)
	write(t, key, strings.Repeat("k", 32))
	pair := certificate(t)
	config := filepath.Join(t.TempDir(), "s3gate.yaml")
	write(t, config, strings.NewReplacer("/etc/s3gate/tls.crt", pair.cert, "/etc/s3gate/tls.key", pair.key).Replace(read(t, "systemd", "s3gate.yaml")))
	configCheck(t, config, variable+"="+key)
}

func TestUser(t *testing.T) {
	sysusers := program(t, "systemd-sysusers", systemdHelp)
	out, err := exec.Command(sysusers, "--dry-run", abs(t, "systemd", "s3gate.sysusers.conf")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "ignoring") {
		t.Errorf("%v\n%s", err, out)
	}
}
