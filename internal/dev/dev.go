// Package dev runs a whole s3gate in one process: a gate with an embedded
// Redis and an embedded S3, a locked bucket with sample objects, and an
// administrator's JWT. It is for trying things out; nothing in it is durable
// but the objects in the data directory.
package dev

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"

	"s3gate/auth"
	"s3gate/internal/config"
	"s3gate/internal/devs3"
	"s3gate/internal/gate"
	"s3gate/s3client"
)

// Options say what to run. The zero Options run everything embedded, on
// ports that are free.
type Options struct {
	// PublicAddr, APIAddr and S3Addr are host:port; "" means a free port on
	// 127.0.0.1.
	PublicAddr, APIAddr, S3Addr string
	// RedisAddr is a real Redis to use; "" means the embedded one.
	RedisAddr string
	// Bucket is a bucket of one's own to use, with the AWS SDK's default
	// credentials; "" means the embedded S3.
	Bucket string
	// DataDir keeps the embedded S3's objects; "" means a temporary folder,
	// which Close removes.
	DataDir string
	// Version goes into the User-Agent of requests to S3.
	Version string
	// Logger hears of everything; nil discards.
	Logger *slog.Logger
}

// Info is what somebody needs to use the running s3gate. Its JSON form is the
// ready file.
type Info struct {
	PublicURL   string `json:"public_url"`
	APIURL      string `json:"api_url"`
	APIToken    string `json:"api_token"`
	S3Endpoint  string `json:"s3_endpoint"`
	S3Region    string `json:"s3_region"`
	S3AccessKey string `json:"s3_access_key"`
	S3SecretKey string `json:"s3_secret_key"`
	Bucket      string `json:"bucket"`
	RedisAddr   string `json:"redis_addr"`
}

// DemoBucket is the embedded S3's bucket.
const DemoBucket = "demo"

// Life is how long the administrator's JWT is good for.
const Life = 12 * time.Hour

const region = "us-east-1"

// Env is a running s3gate.
type Env struct {
	Info Info
	// Admin is the bucket with an administrator's rights; nil with a bucket
	// of one's own.
	Admin *s3client.Bucket

	gate  *gate.Gate
	redis *miniredis.Miniredis
	s3    *devs3.Running
	temp  string // removed by Close; "" for none
}

// Start runs everything and returns when it serves.
func Start(ctx context.Context, o Options) (*Env, error) {
	e := &Env{}
	if err := e.start(ctx, o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Env) start(ctx context.Context, o Options) error {
	if err := e.startRedis(o); err != nil {
		return err
	}
	bucket := config.Bucket{Name: o.Bucket}
	if o.Bucket == "" {
		var err error
		if bucket, err = e.startS3(ctx, o); err != nil {
			return err
		}
	}
	return e.startGate(ctx, o, bucket)
}

func (e *Env) startRedis(o Options) error {
	if o.RedisAddr != "" {
		e.Info.RedisAddr = o.RedisAddr
		return nil
	}
	e.redis = miniredis.NewMiniRedis()
	e.redis.ClockTTL(true) // keys end with the clock, as in Redis
	if err := e.redis.StartAddr("127.0.0.1:0"); err != nil {
		e.redis = nil
		return fmt.Errorf("starting the embedded Redis: %w", err)
	}
	e.Info.RedisAddr = e.redis.Addr()
	return nil
}

// startS3 runs the embedded S3 and returns how the gate reaches it.
func (e *Env) startS3(ctx context.Context, o Options) (config.Bucket, error) {
	dir := o.DataDir
	if dir == "" {
		temp, err := os.MkdirTemp("", "s3gate-dev-")
		if err != nil {
			return config.Bucket{}, fmt.Errorf("making a data directory: %w", err)
		}
		dir, e.temp = temp, temp
	}
	keys := map[string]config.Bucket{}
	users := map[string]devs3.User{}
	for _, name := range []string{"s3gate", "user", "admin"} {
		id, secret := "DEV"+rand.Text()[:17], rand.Text()
		users[id] = devs3.User{Secret: secret, Name: name, Admin: name == "admin"}
		keys[name] = config.Bucket{AccessKeyID: id, SecretAccessKey: secret}
	}
	var err error
	e.s3, err = devs3.Start(devs3.Config{Dir: dir, Region: region, Users: users, Logger: o.Logger}, cmp.Or(o.S3Addr, "127.0.0.1:0"))
	if err != nil {
		return config.Bucket{}, fmt.Errorf("starting the embedded S3: %w", err)
	}
	at := func(c config.Bucket) config.Bucket {
		c.Name, c.Region, c.Endpoint, c.PathStyle = DemoBucket, region, e.s3.URL, true
		return c
	}
	admin := at(keys["admin"])
	e.Info.S3Endpoint, e.Info.S3Region = admin.Endpoint, admin.Region
	e.Info.S3AccessKey, e.Info.S3SecretKey = admin.AccessKeyID, admin.SecretAccessKey
	if e.Admin, err = gate.OpenBucket(ctx, admin, config.Default().Upstream, "s3gate-dev", o.Logger); err != nil {
		return config.Bucket{}, err
	}
	return at(keys["s3gate"]), furnish(ctx, e.Admin)
}

func (e *Env) startGate(ctx context.Context, o Options, bucket config.Bucket) error {
	e.Info.Bucket = cmp.Or(o.Bucket, DemoBucket)
	cfg := config.Default()
	cfg.Links.Addr = cmp.Or(o.PublicAddr, "127.0.0.1:0")
	cfg.API.Addr = cmp.Or(o.APIAddr, "127.0.0.1:0")
	cfg.Ops.Addr = cfg.API.Addr // metrics are on the API's listener
	cfg.API.JWT.HS256Key = rand.Text() + rand.Text()
	cfg.Tokens.MintSecret = rand.Text() + rand.Text()
	cfg.Redis.Addrs = []string{e.Info.RedisAddr}
	bucket.Verify = o.Bucket == "" // one's own is left alone
	cfg.Buckets = map[string]config.Bucket{e.Info.Bucket: bucket}
	cfg.DrainTimeout = 2 * time.Second
	var err error
	e.gate, err = gate.Open(ctx, cfg, gate.Options{
		Logger: o.Logger, Version: o.Version, FreshRedis: e.redis != nil, AllowUnsafe: true,
		PublicURL: func(addr net.Addr) string { return gate.URL(addr, false) },
	})
	if err != nil {
		return err
	}
	e.gate.Start()
	e.Info.PublicURL, e.Info.APIURL = e.gate.PublicURL(), e.gate.APIURL()
	e.Info.APIToken, err = auth.Sign([]byte(cfg.API.JWT.HS256Key), auth.Caller{Issuer: "s3gate-dev", Subject: "admin", Admin: true}, "", Life)
	if err != nil {
		return err
	}
	// A Redis of one's own may have just begun a new life, and is then watched
	// for a while.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := e.gate.Await(ctx); err != nil {
		return fmt.Errorf("asking Redis at %s: %w", e.Info.RedisAddr, err)
	}
	return nil
}

// Wait returns when ctx is done, with nil, or when something has failed.
func (e *Env) Wait(ctx context.Context) error { return e.gate.Wait(ctx) }

// Close stops everything, in the order in which it is needed no more.
func (e *Env) Close() error {
	var errs []error
	if e.gate != nil {
		errs = append(errs, e.gate.Close())
	}
	if e.Admin != nil {
		errs = append(errs, e.Admin.Close())
	}
	if e.s3 != nil {
		errs = append(errs, e.s3.Close())
	}
	if e.redis != nil {
		e.redis.Close()
	}
	if e.temp != "" {
		errs = append(errs, os.RemoveAll(e.temp))
	}
	return errors.Join(errs...)
}
