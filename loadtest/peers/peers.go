package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/redis/go-redis/v9"

	"s3gate/client"
)

// target makes a contender answer requests for an object, and sees that each byte of
// the first answer is right.
func (b *bench) target(ctx context.Context, name, object string, size int64, secure bool) (*target, error) {
	t, err := b.unverified(ctx, name, object, secure)
	if err != nil {
		return nil, err
	}
	t.size = size
	if secure {
		t.secure = b.certs.client()
	}
	return t, t.verify(ctx, hashOf(size))
}

func (b *bench) unverified(ctx context.Context, name, object string, secure bool) (*target, error) {
	up, err := b.upstream(ctx, secure)
	if err != nil {
		return nil, err
	}
	switch name {
	case direct:
		// What is behind costs nobody: its CPU time is not asked for.
		return &target{servers: []*server{up}, request: fixed(bucketPath(object))}, nil
	case gateUnlimited, gateLimited, gateOnly:
		return b.gateTarget(ctx, name, object, up)
	case nginxLua:
		return b.luaTarget(ctx, object, up)
	case haproxyPlain:
		s, err := b.shared(haproxyPlain, func() (*server, error) { return b.haproxy(ctx, up) })
		return &target{servers: []*server{s}, request: fixed(bucketPath(object))}, err
	default:
		s, err := b.shared(tlsName(nginxPlain, secure), func() (*server, error) {
			return b.nginx(ctx, "nginx", subjectCore, nginxConf{Upstream: up.addr}, secure)
		})
		return &target{servers: []*server{s}, request: fixed(bucketPath(object))}, err
	}
}

// gate is that of a target; nil is none.
func (t *target) gate() *server {
	if t.servers[0].api == nil {
		return nil
	}
	return t.servers[0]
}

func (b *bench) gateTarget(ctx context.Context, name, object string, up *server) (*target, error) {
	r, err := b.sharedRedis(ctx)
	if err != nil {
		return nil, err
	}
	s, err := b.shared(tlsName(gateOnly, up.secure), func() (*server, error) { return b.gate(ctx, subjectCore, r, up, b.logs) })
	if err != nil {
		return nil, err
	}
	path, err := mint(ctx, s, downloads(object, name == gateLimited))
	return &target{servers: []*server{s}, redis: r, request: fixed(path)}, err
}

// manyUses is a limit that no run comes near.
const manyUses = 1_000_000_000

// downloads asks for a token that opens an object.
func downloads(object string, limited bool) client.MintRequest {
	r := client.MintRequest{Operation: "get", Bucket: "bench", Key: object, ExpiresIn: "12h"}
	if limited {
		uses := int64(manyUses)
		r.MaxUses = &uses
	}
	return r
}

// mint returns the path of a link.
func mint(ctx context.Context, gate *server, r client.MintRequest) (string, error) {
	var t *client.Token
	err := whenAvailable(ctx, func() (err error) { t, err = gate.api.Mint(ctx, r); return err })
	if err != nil {
		return "", fmt.Errorf("minting: %w", err)
	}
	return "/" + t.Token, nil
}

// luaToken is as long as one of the gate's.
var luaToken = "s3g_" + strings.Repeat("a", 28)

func (b *bench) luaTarget(ctx context.Context, object string, up *server) (*target, error) {
	r, err := b.sharedRedis(ctx)
	if err != nil {
		return nil, err
	}
	s, err := b.shared(nginxLua, func() (*server, error) { return b.lua(ctx, r, up) })
	if err != nil {
		return nil, err
	}
	token := luaToken[:len(luaToken)-len(object)] + strings.ReplaceAll(object, "/", "0")
	return &target{servers: []*server{s}, redis: r, request: fixed("/" + token)}, setToken(ctx, r, token, bucketPath(object))
}

// lua starts nginx with Lua, and sees that it opens nothing for a token that there is not.
func (b *bench) lua(ctx context.Context, r, up *server) (*server, error) {
	s, err := b.nginx(ctx, "nginx-lua", subjectCore, nginxConf{Upstream: up.addr, Redis: r.addr}, up.secure)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, s.addr, nil)
	if err != nil {
		return nil, err
	}
	defer c.close()
	err = c.ask(getRequest("/"+luaToken), 0)
	var answer *statusError
	if !errors.As(err, &answer) || answer.status != http.StatusNotFound {
		return nil, fmt.Errorf("a token that there is not: must be 404, is: %v", err)
	}
	return s, nil
}

// setToken tells nginx with Lua what a token opens.
func setToken(ctx context.Context, r *server, token, path string) error {
	c := redis.NewClient(&redis.Options{Addr: r.addr})
	defer c.Close()
	return c.Set(ctx, "peer:"+token, path, 0).Err()
}
