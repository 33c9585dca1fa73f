package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"s3gate/client"
)

//go:embed conf
var files embed.FS

// render fills in the configuration of a program.
func render(name string, values any) ([]byte, error) {
	t, err := template.ParseFS(files, "conf/"+name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Option("missingkey=error").Execute(&text, values); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// server is a program that answers requests.
type server struct {
	*process
	addr   string // host:port
	secure bool
	api    *client.Client // of a gate
	ops    string         // URL of a gate's metrics and profiles
}

// nginxConf fills conf/nginx.conf.
type nginxConf struct {
	Modules                     []string
	Root                        bool
	Dir, Addr, Log              string // Log is "" for none
	Objects                     string // a directory to serve files from, or
	Upstream                    string // host:port to pass requests to,
	Redis                       string // by the path that a token has there; "" passes all
	Certificate, Key, Authority string // "" speaks no TLS, on neither side
}

// RedisHost and RedisPort are Redis in two.
func (c nginxConf) RedisHost() string { host, _, _ := net.SplitHostPort(c.Redis); return host }

// RedisPort is the other one.
func (c nginxConf) RedisPort() string { _, port, _ := net.SplitHostPort(c.Redis); return port }

// luaModules are where Debian has them, in the order in which nginx wants them.
var luaModules = []string{"/usr/lib/nginx/modules/ndk_http_module.so", "/usr/lib/nginx/modules/ngx_http_lua_module.so"}

// nginx starts one; c says what it is for, and the rest is filled in.
func (b *bench) nginx(ctx context.Context, name string, core int, c nginxConf, secure bool) (*server, error) {
	path, err := program("nginx")
	if err != nil {
		return nil, err
	}
	c.Root = os.Geteuid() == 0
	if c.Objects != "" || c.Redis != "" {
		c.Modules = luaModules
	}
	if secure {
		c.Certificate, c.Key, c.Authority = b.certs.certificate, b.certs.key, b.certs.authority
	}
	if c.Dir, err = os.MkdirTemp(b.dir, "nginx-"); err != nil {
		return nil, err
	}
	if c.Objects == "" && b.logs {
		c.Log = filepath.Join(c.Dir, "access.log")
	}
	p, addr, err := b.onFreePort(ctx, func(addr string) (*process, error) {
		c.Addr = addr
		file, err := b.write(c.Dir, "nginx.conf", c)
		if err != nil {
			return nil, err
		}
		return b.launch(name, core, nil, path, "-p", c.Dir, "-e", "stderr", "-c", file)
	})
	return &server{process: p, addr: addr, secure: secure}, err
}

// write renders a configuration into a file.
func (b *bench) write(dir, name string, values any) (path string, err error) {
	text, err := render(name, values)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	return path, os.WriteFile(path, text, 0o600)
}

// haproxyConf fills conf/haproxy.cfg.
type haproxyConf struct {
	Addr, Upstream string
	// Connections at a time, each of which takes two files: HAProxy does not start
	// where it may not have so many.
	Connections uint64
}

func (b *bench) haproxy(ctx context.Context, upstream *server) (*server, error) {
	path, err := program("haproxy")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "haproxy-")
	if err != nil {
		return nil, err
	}
	p, addr, err := b.onFreePort(ctx, func(addr string) (*process, error) {
		file, err := b.write(dir, "haproxy.cfg", haproxyConf{addr, upstream.addr, min(16384, b.maxFiles/2-500)})
		if err != nil {
			return nil, err
		}
		return b.launch("haproxy", subjectCore, nil, path, "-db", "-f", file)
	})
	return &server{process: p, addr: addr}, err
}

// redis starts a Redis that keeps nothing on disk.
func (b *bench) redis(ctx context.Context) (*server, error) {
	path, err := program("redis-server")
	if err != nil {
		return nil, err
	}
	p, addr, err := b.onFreePort(ctx, func(addr string) (*process, error) {
		_, port, _ := net.SplitHostPort(addr)
		return b.launch("redis", restCore, nil, path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--daemonize", "no")
	})
	return &server{process: p, addr: addr}, err
}

// gateConf fills conf/s3gate.yaml.
type gateConf struct {
	Redis, Upstream  string
	Certificate, Key string // "" speaks no TLS, on neither side
	Logs             bool
}

// gate starts "s3gate serve" with one core's worth of Go, and returns when it serves.
func (b *bench) gate(ctx context.Context, core int, redis, upstream *server, logs bool) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "s3gate-")
	if err != nil {
		return nil, err
	}
	c := gateConf{Redis: redis.addr, Upstream: upstream.addr, Logs: logs}
	if upstream.secure {
		c.Certificate, c.Key = b.certs.certificate, b.certs.key
	}
	file, err := b.write(dir, "s3gate.yaml", c)
	if err != nil {
		return nil, err
	}
	env := []string{"S3GATE_API_JWT_HS256_KEY=" + rand.Text() + rand.Text(), "SSL_CERT_FILE=" + b.certs.authority,
		"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=" + rand.Text(), "AWS_EC2_METADATA_DISABLED=true"}
	if core != anyCore {
		env = append(env, "GOMAXPROCS=1")
	}
	bearer, err := b.bearer(ctx, file, env)
	if err != nil {
		return nil, err
	}
	ready := filepath.Join(dir, "ready.json")
	p, err := b.launch("s3gate", core, env, b.binary, "serve", "--config", file, "--ready-file", ready)
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, func() bool { _, err := os.Stat(ready); return err == nil }); err != nil {
		return nil, err
	}
	return readyGate(p, ready, bearer, upstream.secure)
}

// readyGate reads where a gate serves.
func readyGate(p *process, file, bearer string, secure bool) (*server, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var ready struct {
		Links string `json:"links_url"`
		API   string `json:"api_url"`
		Ops   string `json:"ops_url"`
	}
	if err := json.Unmarshal(raw, &ready); err != nil {
		return nil, fmt.Errorf("reading the ready file: %w", err)
	}
	_, addr, _ := strings.Cut(ready.Links, "://")
	return &server{process: p, addr: addr, secure: secure, api: client.New(ready.API, bearer), ops: ready.Ops}, nil
}

// bearer makes a JWT for the gate of a configuration.
func (b *bench) bearer(ctx context.Context, config string, env []string) (string, error) {
	cmd := exec.CommandContext(ctx, b.binary, "auth", "token", "--config", config)
	cmd.Env = append(env, "HOME="+b.dir)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("making a JWT: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// build makes the binary of s3gate as it is released.
func (b *bench) build(ctx context.Context) error {
	b.binary = filepath.Join(b.dir, "s3gate")
	version := "dev"
	if out, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty").Output(); err == nil {
		version = strings.TrimSpace(string(out))
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", b.binary, "s3gate/cmd/s3gate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building s3gate: %w\n%s", err, out)
	}
	return nil
}

// pin keeps this process, and threads that it will have, on the core that the
// subjects do not have.
func pin(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "taskset", "-a", "-p", "-c", strconv.Itoa(restCore), strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		return fmt.Errorf("taskset: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
