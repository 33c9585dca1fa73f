package gate

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"s3gate/internal/config"
	"s3gate/revocation"
	"s3gate/s3client"
)

// newRedis returns a client of what the settings name: one server, a primary
// behind sentinels, or a Cluster. It connects when it is used.
func newRedis(c config.Redis) redis.UniversalClient {
	opts := &redis.UniversalOptions{
		Addrs: c.Addrs, MasterName: c.Master, IsClusterMode: c.Cluster,
		Username: c.Username, Password: c.Password, DB: c.DB,
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout,
		ContextTimeoutEnabled: true,
		// Every script may be repeated: its nonce makes it the same decision.
		MaxRetries: 2, DialerRetries: 2, DialerRetryTimeout: 50 * time.Millisecond,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
	if c.TLS {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.Cluster {
		cluster := opts.Cluster()
		// Who has a slot is asked when a server says that it has not, and
		// regularly: a dead one says nothing.
		cluster.ClusterStateReloadInterval = 2 * time.Second
		return redis.NewClusterClient(cluster)
	}
	return redis.NewUniversalClient(opts)
}

// priorities is what sentinels have said last of which replicas they would
// promote.
type priorities struct {
	wrong atomic.Pointer[revocation.PriorityError]
}

// check asks the sentinels. They look at the priority of a replica first, and only
// then at who has most of what was written; so where not every replica has to
// acknowledge, one that has less must not be preferred. What was found stands
// while no sentinel answers.
func (p *priorities) check(ctx context.Context, c config.Redis) error {
	if c.Master == "" || c.Acks() >= c.ReplicaCount() {
		return nil
	}
	for _, addr := range c.Addrs {
		if replicas, err := sentinelReplicas(ctx, c, addr); err == nil {
			p.wrong.Store(unequal(replicas))
			break
		}
	}
	if wrong := p.wrong.Load(); wrong != nil {
		return wrong
	}
	return nil
}

// unequal finds a replica that sentinels prefer to another one; nil if there is
// none.
func unequal(replicas []map[string]string) *revocation.PriorityError {
	other := 0 // 0 is never promoted
	for _, r := range replicas {
		priority, err := strconv.Atoi(r["slave-priority"])
		if err != nil || priority == 0 {
			continue
		}
		if other != 0 && priority != other {
			return &revocation.PriorityError{Replica: net.JoinHostPort(r["ip"], r["port"]), Priority: priority, Other: other}
		}
		other = priority
	}
	return nil
}

func sentinelReplicas(ctx context.Context, c config.Redis, addr string) ([]map[string]string, error) {
	opts := &redis.Options{
		Addr: addr, Username: c.SentinelUsername, Password: c.SentinelPassword,
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, MaxRetries: -1, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c.TLS {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	sentinel := redis.NewSentinelClient(opts)
	defer sentinel.Close()
	return sentinel.Replicas(ctx, c.Master).Result()
}

// LogRedis sends what the Redis client has to say to logger, at level debug:
// commands that fail are reported where they are used. The client has one
// logger for the whole process, so this is for main.
func LogRedis(logger *slog.Logger) { redis.SetLogger(redisLogger{logger}) }

type redisLogger struct{ *slog.Logger }

func (l redisLogger) Printf(ctx context.Context, format string, v ...any) {
	l.DebugContext(ctx, "redis client", "text", fmt.Sprintf(format, v...))
}

// OpenBucket opens a bucket with its own credentials, or with those of the
// AWS SDK's default chain; or with those of the role that they assume.
func OpenBucket(ctx context.Context, b config.Bucket, up config.Upstream, agent string, logger *slog.Logger) (*s3client.Bucket, error) {
	transport := s3client.NewTransport(s3client.TransportConfig{
		DialTimeout: up.DialTimeout, ResponseTimeout: up.ResponseTimeout, MaxIdle: up.MaxIdle,
	})
	cfg := s3client.Config{
		Name: b.Name, Region: b.Region, Endpoint: b.Endpoint, PathStyle: b.PathStyle,
		Signing: s3client.Signing(b.Signing), UserAgent: agent, Logger: logger, Transport: transport,
	}
	if b.AccessKeyID != "" {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(b.AccessKeyID, b.SecretAccessKey, "")
	} else if err := ofChain(ctx, b.Profile, &cfg); err != nil {
		return nil, err
	}
	if b.AssumeRole.Wanted() {
		var err error
		if cfg.Credentials, err = assumeRole(b, cfg.Region, cfg.Credentials, transport); err != nil {
			return nil, err
		}
	}
	return s3client.Open(ctx, cfg)
}

// ofChain fills in what the AWS SDK's default chain knows.
func ofChain(ctx context.Context, profile string, cfg *s3client.Config) error {
	sdk, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithSharedConfigProfile(profile))
	if err != nil {
		return fmt.Errorf("loading the AWS SDK's configuration: %w", err)
	}
	cfg.Credentials = sdk.Credentials
	cfg.Region = cmp.Or(cfg.Region, sdk.Region)
	// AWS_ENDPOINT_URL and its kin, as the SDK understands them.
	if base := s3.NewFromConfig(sdk).Options().BaseEndpoint; base != nil && cfg.Endpoint == "" {
		cfg.Endpoint = *base
	}
	return nil
}
