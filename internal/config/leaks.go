package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"s3gate/guard/leakwatch"
)

// Leaks says where logs are that tell of leaks, and what is done about those.
type Leaks struct {
	// Sources are buckets of logs, and queues, by name. One gate reads them at a
	// time. Without any it only hears what the gates tell.
	Sources map[string]LeakSource `koanf:"sources"`
	// Interval is how often a bucket of logs is looked at. Default 1m.
	Interval time.Duration `koanf:"interval"`
	// Late is by how much later a log may come than others that sort behind it.
	// Default 1h.
	Late time.Duration `koanf:"late"`
	// Window is the time within which requests for one key, by one signer and from
	// one network, are one finding. Default 1h.
	Window time.Duration `koanf:"window"`
	// Since is by how much older requests may be than the first start of a watch: what
	// logs tell of earlier ones is left out. Default 1d.
	Since time.Duration `koanf:"since"`
	// Networks is from how many networks (/24 and /48) one link may be used; more
	// are a finding. It takes audit.client_address full or prefix, and a stream of
	// events; where these are not kept, and nothing is said here, none are found. 0
	// finds none. Default 5.
	Networks int `koanf:"networks"`
	// NetworksWindow is the time within which they count. Default 1h.
	NetworksWindow time.Duration `koanf:"networks_window"`
	// Keep is how many findings are kept, 1 to 1000000. Default 10000.
	Keep int `koanf:"keep"`
	// KeepFor is how long after its last request a finding is. Default 90d.
	KeepFor time.Duration `koanf:"keep_for"`
	// Actions are what is done about findings, by any name. Of each finding an
	// event tells anyway.
	Actions map[string]LeakAction `koanf:"actions"`
	// Gates are the networks (CIDRs) that requests of gates with signing: query come
	// from, as the store sees them. Others' are findings. Default: any.
	Gates []string `koanf:"gates"`
	// DryRun only says what would be done. Default false.
	DryRun bool `koanf:"dry_run"`
	// MaxActions is how much is done in an hour about findings of one kind and outcome,
	// 1 to 100000; more waits for a day, and of it is told. Default 60.
	MaxActions int `koanf:"max_actions"`
}

// LeakSource is a bucket that logs are delivered to, or a queue that hears of them.
type LeakSource struct {
	// Bucket is the name of the bucket that logs are delivered to. Default: none,
	// for a queue that has the events themselves.
	Bucket string `koanf:"bucket"`
	// Prefix is what keys of logs begin with; for CloudTrail, those of one account and
	// region. A queue has none: what it is told of is read.
	Prefix string `koanf:"prefix"`
	// Queue is the URL of a queue of Amazon SQS; then the bucket is not listed.
	Queue string `koanf:"queue"`
	// Region signs requests. Default: us-east-1.
	Region string `koanf:"region"`
	// Endpoint is the URL of the store. Default: Amazon S3.
	Endpoint string `koanf:"endpoint"`
	// PathStyle puts the bucket into the path of requests.
	PathStyle bool `koanf:"path_style"`
	// AccessKeyID is that of static credentials. Default: the AWS SDK's chain
	// (environment, profile, container, instance role).
	AccessKeyID string `koanf:"access_key_id"`
	// SecretAccessKey goes with it.
	SecretAccessKey string `koanf:"secret_access_key" secret:"true"`
	// Profile is a profile of the AWS SDK's shared configuration.
	Profile string `koanf:"profile"`
}

// Reach is how the bucket of logs is reached.
func (s *LeakSource) Reach() Bucket {
	return Bucket{
		Name: s.Bucket, Region: s.Region, Endpoint: s.Endpoint, PathStyle: s.PathStyle,
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, Profile: s.Profile,
	}
}

// LeakAction says what is done about which findings.
type LeakAction struct {
	// Kind is presigned, form, shared or canary. Default: all.
	Kind string `koanf:"kind"`
	// Outcome is allowed or refused. Default: both.
	Outcome string `koanf:"outcome"`
	// Do is what is done, in this order: for presigned and form revoke_key, the tokens
	// of exactly that object; for shared and canary revoke_subject, those of the
	// token's subject; for shared revoke_token; for all lock, the bucket if it has no
	// lock. Required.
	Do []string `koanf:"do"`
}

// Rules are the actions, in the order of their names.
func (l *Leaks) Rules() (rules []leakwatch.Rule) {
	for _, name := range slices.Sorted(maps.Keys(l.Actions)) {
		a := l.Actions[name]
		r := leakwatch.Rule{Kind: leakwatch.Kind(a.Kind), Outcome: leakwatch.Outcome(a.Outcome)}
		for _, do := range a.Do {
			r.Do = append(r.Do, leakwatch.Action(do))
		}
		rules = append(rules, r)
	}
	return rules
}

func defaultLeaks() Leaks {
	return Leaks{
		Interval: time.Minute, Late: time.Hour, Window: time.Hour, Since: 24 * time.Hour, Networks: 5, NetworksWindow: time.Hour,
		Keep: 10_000, KeepFor: 90 * 24 * time.Hour, MaxActions: 60,
	}
}

func (l *Leaks) validate(bad func(name, format string, args ...any)) {
	const path = "guard.leaks."
	for name, d := range map[string]time.Duration{
		"interval": l.Interval, "late": l.Late, "window": l.Window, "networks_window": l.NetworksWindow, "keep_for": l.KeepFor,
	} {
		if d <= 0 {
			bad(path+name, "must be more than 0, got %s", d)
		}
	}
	for name, n := range map[string][3]int{"networks": {l.Networks, 0, 1000}, "keep": {l.Keep, 1, 1_000_000}, "max_actions": {l.MaxActions, 1, 100_000}} {
		if n[0] < n[1] || n[0] > n[2] {
			bad(path+name, "must be %d to %d, got %d", n[1], n[2], n[0])
		}
	}
	if _, err := l.gates(); err != nil {
		bad(path+"gates", "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(l.Sources)) {
		s := l.Sources[name]
		s.validate(path+"sources."+name, bad)
	}
	names, rules := slices.Sorted(maps.Keys(l.Actions)), l.Rules()
	for i := range rules {
		if err := rules[i].Validate(); err != nil {
			bad(path+"actions."+names[i], "%v", err)
		}
	}
}

// gates reads Gates; nil means any.
func (l *Leaks) gates() (networks []netip.Prefix, err error) {
	for _, text := range l.Gates {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("must hold networks such as 10.0.0.0/16, got %q", text)
		}
		networks = append(networks, n)
	}
	return networks, nil
}

func (s *LeakSource) validate(name string, bad func(name, format string, args ...any)) {
	if s.Bucket == "" && s.Queue == "" {
		bad(name+".bucket", "or queue is required")
	}
	if s.Queue != "" {
		if u, err := url.Parse(s.Queue); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			bad(name+".queue", "must be a URL such as https://sqs.eu-central-1.amazonaws.com/123456789012/logs")
		}
	}
	if s.Queue != "" && s.Prefix != "" {
		bad(name+".prefix", "is for a bucket that is listed, and not for a queue; got %q", s.Prefix)
	}
	if u, err := url.Parse(s.Endpoint); s.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "") {
		bad(name+".endpoint", "must be a URL such as https://minio.example.com, without user and query")
	}
	if (s.AccessKeyID == "") != (s.SecretAccessKey == "") {
		bad(name+".access_key_id", "and secret_access_key go together: set both or none")
	}
	if s.AccessKeyID != "" && s.Profile != "" {
		bad(name+".profile", "and access_key_id exclude each other")
	}
}

// WatchedBuckets are the buckets by their real names, as the leak watch knows them.
// Where several aliases stand for one, findings have the first; [Config.LeakAliases]
// has them all.
func (c *Config) WatchedBuckets() map[string]leakwatch.Bucket {
	watched := map[string]leakwatch.Bucket{}
	for _, alias := range slices.Sorted(maps.Keys(c.Buckets)) {
		b := c.Buckets[alias]
		w := watched[b.Name]
		w.Alias = cmp.Or(w.Alias, alias)
		if b.Signing == "query" && b.Principal != "" {
			w.Principals = append(w.Principals, b.Principal)
			w.Networks, _ = c.Guard.Leaks.gates()
		}
		if b.VerifyKey != "" {
			w.Probes = append(w.Probes, b.VerifyKey)
			w.Provers = append(w.Provers, b.signers()...)
		}
		watched[b.Name] = w
	}
	return watched
}

// signers are who signs requests to the bucket, as far as the settings say: ARNs and
// IDs of access keys.
func (b *Bucket) signers() []string {
	all := []string{b.Principal, b.AssumeRole.RoleARN}
	if !b.AssumeRole.Wanted() {
		all = append(all, b.AccessKeyID)
	}
	return slices.DeleteFunc(all, func(who string) bool { return who == "" })
}

// networksUnlessSaid finds no shared links where no event tells of networks, unless
// that was asked for.
func (c *Config) networksUnlessSaid(raw map[string]any) {
	guard, _ := asMap(raw["guard"])
	said, _ := asMap(guard["leaks"])
	if _, ok := said["networks"]; !ok && (c.Audit.ClientAddress == "none" || c.Events.Stream.MaxLen == 0) {
		c.Guard.Leaks.Networks = 0
	}
}

// validateGateEvents refuses to wait for findings that nothing tells of.
func (c *Config) validateGateEvents(bad func(name, format string, args ...any)) {
	l := &c.Guard.Leaks
	for _, name := range slices.Sorted(maps.Keys(l.Actions)) {
		switch kind := leakwatch.Kind(l.Actions[name].Kind); {
		case c.Events.Stream.MaxLen == 0 && (kind == leakwatch.Canary || kind == leakwatch.Shared):
			bad("guard.leaks.actions."+name, "kind %s is found in events: events.stream.max_len must be more than 0", kind)
		case l.Networks == 0 && kind == leakwatch.Shared:
			bad("guard.leaks.actions."+name, "kind shared is never found while guard.leaks.networks is 0")
		}
	}
	switch {
	case l.Networks == 0:
	case c.Events.Stream.MaxLen == 0:
		bad("guard.leaks.networks", "needs events.stream.max_len of more than 0; got %d networks", l.Networks)
	case c.Audit.ClientAddress == "none":
		bad("guard.leaks.networks", "needs audit.client_address full or prefix; got %d networks and none", l.Networks)
	}
}

// LeakAliases are all aliases of the bucket that a finding names, in their order: what
// leaked is behind each of them. It is nil for a bucket that is none of the gate's.
func (c *Config) LeakAliases(f *leakwatch.Finding) (aliases []string) {
	of, ok := c.Buckets[f.Bucket]
	if !ok {
		return nil
	}
	for _, alias := range slices.Sorted(maps.Keys(c.Buckets)) {
		if b := c.Buckets[alias]; b.Name == of.Name && b.Endpoint == of.Endpoint {
			aliases = append(aliases, alias)
		}
	}
	return aliases
}

// validateNames refuses logs about buckets that only their stores tell apart, since
// logs name no store.
func (c *Config) validateNames(bad func(name, format string, args ...any)) {
	if len(c.Guard.Leaks.Sources) == 0 {
		return
	}
	first := map[string]string{}
	for _, alias := range slices.Sorted(maps.Keys(c.Buckets)) {
		b := c.Buckets[alias]
		other, there := first[b.Name]
		switch {
		case !there:
			first[b.Name] = alias
		case c.Buckets[other].Endpoint != b.Endpoint:
			bad("guard.leaks.sources", "logs cannot tell buckets.%s from buckets.%s: both are named %q, at different endpoints", other, alias, b.Name)
		}
	}
}
