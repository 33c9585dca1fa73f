package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/prometheus/client_golang/prometheus"

	"s3gate/api"
	"s3gate/events"
	"s3gate/internal/config"
	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/tokens"
)

// telling is how events leave the gate.
type telling struct {
	bus    *events.Bus
	audit  *events.File   // nil where the audit log is no file
	reader *events.Reader // nil without a stream
	hooks  *events.Hooks
	topics map[string]api.Notifier
}

// openEvents opens the sinks that the settings name.
func (g *Gate) openEvents(ctx context.Context, reg prometheus.Registerer, version string) error {
	metrics := events.NewMetrics(reg)
	t := &g.telling
	t.hooks = &events.Hooks{RDB: g.rdb, MaxDead: g.cfg.Events.MaxDead, Metrics: metrics, Agent: "s3gate/" + version, Logger: g.logger}
	t.topics = map[string]api.Notifier{}
	audit, err := g.openAudit()
	if err != nil {
		return fmt.Errorf("audit.file: %w", err)
	}
	sinks := []events.Sink{audit}
	if n := g.cfg.Events.Stream.MaxLen; n > 0 {
		t.reader = events.NewReader(g.rdb, g.cfg.Events.Followers)
		sinks = append(sinks, events.NewStream(g.rdb, n))
	}
	for name, w := range g.cfg.Webhooks {
		hook, err := t.hooks.Add(endpoint(name, &w))
		if err != nil {
			return fmt.Errorf("webhooks.%s: %w", name, err)
		}
		sinks = append(sinks, hook)
	}
	for alias, c := range g.cfg.SNS {
		topic, err := openTopic(ctx, alias, &c)
		if err != nil {
			return fmt.Errorf("sns.%s: %w", alias, err)
		}
		if len(c.Types) > 0 {
			sinks = append(sinks, topic)
		}
		if c.Notify {
			t.topics[alias] = topic
		}
	}
	t.bus = events.NewBus(events.Options{
		Gate: g.name, Queue: g.cfg.Events.Queue, RefusalWindow: g.cfg.Events.RefusalWindow, RefusalKinds: g.cfg.Events.RefusalKinds,
		Metrics: metrics, Logger: g.logger,
	}, sinks...)
	return nil
}

func (g *Gate) openAudit() (events.Sink, error) {
	a := &g.cfg.Audit
	switch a.File {
	case "":
		return events.Log{Logger: g.logger}, nil
	case "-":
		return events.Writer{Writer: os.Stdout}, nil
	}
	file, err := events.OpenFile(a.File, events.FileOptions{MaxBytes: a.MaxBytes, MaxAge: a.MaxAge, Keep: a.Keep, Sync: a.Fsync == "always"})
	if err != nil {
		return nil, err
	}
	g.telling.audit = file
	return file, nil
}

// Reopen goes on with the files of the audit log and the access log by their names,
// after somebody has renamed them. An error is logged too.
func (g *Gate) Reopen() error {
	access := g.observing.access.Reopen()
	if access != nil {
		g.logger.Error("reopening the access log", "err", access)
	}
	if g.telling.audit == nil {
		return access
	}
	err := g.telling.audit.Reopen()
	if err != nil {
		g.logger.Error("reopening the audit log", "err", err)
	}
	return errors.Join(err, access)
}

func endpoint(name string, w *config.Webhook) events.Endpoint {
	e := events.Endpoint{
		Name: name, URL: w.URL, Secret: w.Secret, PreviousSecret: w.PreviousSecret, AllowPrivate: w.AllowPrivate,
		Timeout: w.Timeout, Tries: w.Tries, GiveUp: w.GiveUpAfter, Backoff: w.Backoff, MaxBackoff: w.MaxBackoff, MaxPending: w.MaxPending,
	}
	if types, all := config.EventTypes(w.Types); !all {
		e.Types = types
	}
	return e
}

func openTopic(ctx context.Context, alias string, c *config.Topic) (*events.Topic, error) {
	types, all := config.EventTypes(c.Types)
	if all {
		types = nil
	}
	opts := []func(*awsconfig.LoadOptions) error{awsconfig.WithRegion(c.SigningRegion())}
	if c.AccessKeyID != "" {
		opts = append(opts, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")))
	} else {
		opts = append(opts, awsconfig.WithSharedConfigProfile(c.Profile))
	}
	sdk, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("loading the AWS SDK's configuration: %w", err)
	}
	client := sns.NewFromConfig(sdk, func(o *sns.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
	})
	return events.NewTopic(alias, c.ARN, types, client), nil
}

// closeEvents lets the sinks take what they have not yet, for a while.
func (g *Gate) closeEvents() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if g.telling.reader != nil {
		g.telling.reader.Close()
	}
	if g.telling.bus == nil && g.telling.audit != nil {
		return g.telling.audit.Close() // Open failed in between
	}
	return g.telling.bus.Close(ctx)
}

func grantOf(g *tokens.Grant) events.Grant {
	return events.Grant{
		Token: string(g.ID), Operation: string(g.Operation), Bucket: g.Bucket, Key: g.Key + g.Prefix, Subject: g.Subject,
		Issuer: g.Issuer, IssuedBy: g.IssuedBy,
	}
}

func (g *Gate) minted(grant tokens.Grant) {
	g.telling.bus.Emit(events.TokenMinted, string(grant.ID), events.Minted{
		Grant: grantOf(&grant), NotBefore: grant.NotBefore, ExpiresAt: grant.ExpiresAt, MaxUses: grant.MaxUses, Labels: grant.Labels,
	})
}

func (g *Gate) redeemed(r proxy.Redemption) {
	of := grantOf(r.Grant)
	of.Key = r.Key
	g.telling.bus.Emit(events.TokenRedeemed, of.Token, events.Redeemed{Grant: of, Use: r.Use, Request: r.Request, Client: r.Client})
}

func (g *Gate) refused(r proxy.Refusal) {
	g.telling.bus.Refuse(events.Refused{
		Grant: grantOf(r.Grant), Reason: r.Reason, Status: r.Status, Method: r.Method, Request: r.Request, Client: r.Client,
		Canary: r.Canary,
	})
}

// useEnded tells of the receipt of a use.
func (g *Gate) useEnded(r tokens.Receipt) {
	g.observing.uses.WithLabelValues(string(r.Operation), string(r.Outcome)).Inc()
	g.telling.bus.Emit(events.TokenReceipt, string(r.Token), events.Receipt{
		Grant: events.Grant{
			Token: string(r.Token), Operation: string(r.Operation), Bucket: r.Bucket, Key: r.Key, Subject: r.Subject,
			Issuer: r.Issuer, IssuedBy: r.IssuedBy,
		},
		Use: r.Use, Request: r.Request, Requests: r.Requests, Client: r.Client, Size: r.Size, ETag: r.ETag, VersionID: r.VersionID,
		Bytes: r.Bytes, Ranges: r.Ranges, Outcome: string(r.Outcome), Began: r.Began, Ended: r.Ended, DurationMS: r.DurationMS,
	})
}

// ruled tells of a rule that was made or lifted, or of a token that was changed.
func (g *Gate) ruled(rule revocation.Rule, receipt revocation.Receipt, err error) {
	g.observing.rules.told(receipt, err)
	var shown *events.RuleReceipt
	var of *tokens.Status
	failed := ""
	if err != nil {
		failed = err.Error()
	} else {
		of = g.ruledToken(rule.Token)
		shown = &events.RuleReceipt{
			AcknowledgedBy: receipt.AcknowledgedBy, ExpiredLeases: receipt.ExpiredLeases, Cut: receipt.Cut, Committing: receipt.Committing,
			Durability: string(receipt.Durability), TookMS: receipt.TookMS,
		}
	}
	if rule.Change != nil {
		g.changed(&rule, of, shown, failed)
		return
	}
	kind := events.RuleRevoked
	if rule.Lifted() {
		kind = events.RuleLifted
	}
	data := events.Rule{
		ID: rule.ID, Token: string(rule.Token), Subject: rule.Subject, Issuer: rule.Issuer, Labels: rule.Labels, Bucket: rule.Bucket,
		Prefix: rule.Prefix, IssuedBefore: rule.IssuedBefore, All: rule.All, Standing: rule.Standing,
		Author: rule.Author, Reason: rule.Reason, At: rule.At, LiftedAt: rule.LiftedAt, LiftedBy: rule.LiftedBy, LiftReason: rule.LiftReason,
		Receipt: shown, Error: failed,
	}
	if of != nil {
		grant := grantOf(&of.Grant)
		data.Grant = &grant
	}
	g.telling.bus.Emit(kind, string(rule.Token), data)
}

// changed tells of a token that permits less now.
func (g *Gate) changed(rule *revocation.Rule, of *tokens.Status, receipt *events.RuleReceipt, failed string) {
	data := events.Changed{
		Grant: events.Grant{Token: string(rule.Token)}, Version: rule.Version, ExpiresAt: rule.Change.ExpiresAt, Labels: rule.Change.Labels,
		Author: rule.Author, Receipt: receipt, Error: failed,
	}
	if of != nil {
		data.Grant, data.MaxUses = grantOf(&of.Grant), of.MaxUses
	}
	g.telling.bus.Emit(events.TokenChanged, string(rule.Token), data)
}

// ruledToken is the token that a rule names, so that those who may see it hear of
// the rule; nil if there is none, or Redis does not answer, which it has just done.
func (g *Gate) ruledToken(id tokens.ID) *tokens.Status {
	if id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	status, err := g.store.Show(ctx, id)
	if err != nil {
		return nil
	}
	return &status
}

func (g *Gate) cut(c api.CutTransfer) {
	g.telling.bus.Emit(events.TransferCut, "", events.Cut{Request: c.ID, Author: c.Author, Committing: c.Committing})
}

// apiEvents gives the API what has happened.
func (g *Gate) apiEvents(cfg *api.Config) {
	cfg.Minted, cfg.Cut, cfg.Topics = g.minted, g.cut, g.telling.topics
	if g.telling.reader != nil {
		cfg.Events = g.telling.reader
	}
	if len(g.cfg.Webhooks) > 0 {
		cfg.DeadLetters = g.telling.hooks
	}
}
