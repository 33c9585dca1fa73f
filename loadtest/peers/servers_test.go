package main

import (
	"strings"
	"testing"
)

func TestConfigurations(t *testing.T) {
	const upstream, redis = "127.0.0.1:1001", "127.0.0.1:1002"
	peer := nginxConf{Dir: "/d", Addr: "127.0.0.1:1000", Log: "/d/access.log", Upstream: upstream}
	secure := peer
	secure.Certificate, secure.Key, secure.Authority = "/c.pem", "/k.pem", "/a.pem"
	lua := peer
	lua.Redis, lua.Modules, lua.Root, lua.Log = redis, luaModules, true, ""
	for _, tt := range []struct {
		name, file string
		values     any
		has, lacks []string
	}{
		{"upstream", "nginx.conf", nginxConf{Dir: "/d", Addr: "127.0.0.1:1000", Objects: "/o", Modules: luaModules},
			[]string{"listen 127.0.0.1:1000;", "root /o;", "dav_methods PUT;", "access_log off;", "sendfile on;", "client_body_temp_path /d/body;", "load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"},
			[]string{"proxy_pass", "ssl", "user root"}},
		{"nginx", "nginx.conf", peer,
			[]string{"worker_processes 1;", "server 127.0.0.1:1001;", "keepalive 64;", "proxy_http_version 1.1;", "proxy_max_temp_file_size 0;",
				"proxy_request_buffering off;", "client_max_body_size 0;", "proxy_pass http://s3;", "access_log /d/access.log combined;"},
			[]string{"ssl", "lua", "load_module", "dav_methods"}},
		{"nginx with TLS", "nginx.conf", secure,
			[]string{"listen 127.0.0.1:1000 ssl;", "proxy_pass https://s3;", "proxy_ssl_verify on;", "proxy_ssl_trusted_certificate /a.pem;", "ssl_certificate_key /k.pem;"},
			[]string{"http://s3"}},
		{"nginx with Lua", "nginx.conf", lua,
			[]string{`red:connect("127.0.0.1", 1002)`, "red:set_keepalive(60000, 64)", "ngx.exit(404)", "proxy_pass http://s3$target;", "user root root;", "access_log off;"},
			[]string{"ssl", "location / "}},
		{"HAProxy", "haproxy.cfg", haproxyConf{"127.0.0.1:1000", upstream, 900},
			[]string{"nbthread 1\n", "maxconn 900\n", "bind 127.0.0.1:1000\n", "server s3 127.0.0.1:1001\n"}, nil},
		{"s3gate", "s3gate.yaml", gateConf{Redis: redis, Upstream: upstream, Logs: true},
			[]string{`redis: {addrs: ["127.0.0.1:1002"]}`, `endpoint: "http://127.0.0.1:1001"`, "path_style: true", "level: info"},
			[]string{"cert", "secret", "key"}},
		{"s3gate with TLS", "s3gate.yaml", gateConf{Redis: redis, Upstream: upstream, Certificate: "/c.pem", Key: "/k.pem"},
			[]string{`cert: "/c.pem", key: "/k.pem"`, `endpoint: "https://127.0.0.1:1001"`, "level: error"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := render(tt.file, tt.values)
			if err != nil {
				t.Fatal(err)
			}
			text := string(raw)
			for _, want := range tt.has {
				if !strings.Contains(text, want) {
					t.Errorf("has no %q:\n%s", want, text)
				}
			}
			for _, not := range tt.lacks {
				if strings.Contains(text, not) {
					t.Errorf("has %q:\n%s", not, text)
				}
			}
		})
	}
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-rounds 0", "-rounds: at least 1, got 0"},
		{"-requests 7", "-requests: at least 100, got 7"},
		{"-tokens 0", "-tokens: at least 1, got 0"},
		{"-only (", "-only: "},
		{"more", `takes no arguments, got "more"`},
		{"-nonsense", "not defined"},
	} {
		_, err := parse(strings.Fields(tt.args), t.Output())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: is %v, want %q", tt.args, err, tt.want)
		}
	}
	o, err := parse(strings.Fields("-only get -rounds 3 -json=/elsewhere/r.json -doc docs/x.md -s3gate /elsewhere/s3gate"), t.Output())
	if err != nil || o.rounds != 3 || !o.logs || o.doc != "docs/x.md" || o.json != "/elsewhere/r.json" || !o.only.MatchString("get-4k") ||
		o.command != "go run ./loadtest/peers -only get -rounds 3 -json=r.json -doc docs/x.md -s3gate s3gate" {
		t.Errorf("became %+v, %v", o, err)
	}
}
