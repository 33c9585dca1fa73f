package s3gatetest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Nginx starts an nginx in front of something and returns its URL. server is
// what its one server block holds besides the address; "CACHE" in it names a
// cache that is there. The test's end stops it.
func Nginx(t testing.TB, server string) (url string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil { // Debian has it where only root looks
		path, err = exec.LookPath("/usr/sbin/nginx")
	}
	Need(t, "nginx (apt-get install nginx)", err)
	dir := t.TempDir()
	var last *process
	for range 5 { // another process can take the port in between
		addr := loopback(freePort(t))
		config := strings.NewReplacer("ADDR", addr, "DIR", dir, "SERVER", server).Replace(nginxConfig)
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		last = launch(t, nil, path, "-p", dir, "-e", "stderr", "-c", file)
		if last.waitUntil(t, func() error { return dialable(addr) }) {
			return "http://" + addr
		}
	}
	t.Fatalf("nginx does not start:\n%s", last.output)
	return ""
}

func dialable(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

const nginxConfig = `
daemon off;
master_process off;
pid DIR/pid;
events {}
http {
  access_log off;
  client_body_temp_path DIR/body;
  proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  proxy_cache_path DIR/cache keys_zone=CACHE:1m;
  server {
    listen ADDR;
    SERVER
  }
}
`
