package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/policy"
)

// iamFlags are what "bucket iam" was told.
type iamFlags struct {
	path, prefix, kmsKey, principal string
	readOnly, writeOnly, noVerify   bool
	keyPolicy                       bool
	logs                            guard.LogAccess
}

func newIAM() *cobra.Command {
	var i iamFlags
	cmd := &cobra.Command{
		Use:   "iam [BUCKET...]",
		Short: "Print the least that the gate's role or user has to be permitted",
		Long: `Print an identity policy for IAM: what a gate asks of its buckets, and nothing else.
With --config, BUCKET is an alias, and without any it is for all buckets of the
configuration. It asks nobody, and changes nothing.

With --key-policy it prints instead the statements that the policies of the KMS keys
need, by key.`,
		Example: `  s3gate bucket iam --config s3gate.yaml
  s3gate bucket iam docs --read-only --prefix reports/ --no-verify
  s3gate bucket iam docs --config s3gate.yaml --key-policy`,
		Args: cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	f.StringVarP(&i.path, "config", "c", os.Getenv("S3GATE_CONFIG"), "YAML file with settings")
	f.StringVar(&i.prefix, "prefix", "", "what the keys begin with that links are for")
	f.BoolVar(&i.readOnly, "read-only", false, "for links to download only")
	f.BoolVar(&i.writeOnly, "write-only", false, "for uploads only")
	f.BoolVar(&i.noVerify, "no-verify", false, "not for \"bucket verify\", which writes and removes canaries")
	f.StringVar(&i.kmsKey, "kms-key", "", "the ARN of the KMS key that objects are encrypted with (default: sse_kms_key_id of the bucket)")
	f.StringVar(&i.principal, "principal", "", "the ARN of the gate's role or user (default: the bucket's principal)")
	f.BoolVar(&i.keyPolicy, "key-policy", false, "print what the policies of KMS keys need")
	f.StringVar(&i.logs.Bucket, "log-bucket", "", "a bucket with logs for the leak watch")
	f.StringVar(&i.logs.Prefix, "log-prefix", "", "what the keys of the logs begin with")
	f.StringVar(&i.logs.Queue, "queue", "", "the ARN of a queue of Amazon SQS for the leak watch")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		buckets, principal, err := i.access(args)
		if err == nil && i.keyPolicy {
			err = i.printKeys(cmd, principal, buckets)
		} else if err == nil {
			err = i.printPolicy(cmd, buckets)
		}
		if errors.Is(err, guard.ErrOptions) {
			err = usageError{err}
		}
		return err
	}
	return cmd
}

// access is what the gate does with the buckets, and who it is.
func (i *iamFlags) access(names []string) (list []guard.Access, principal string, err error) {
	if i.readOnly && i.writeOnly {
		return nil, "", usagef("--read-only and --write-only exclude each other")
	}
	buckets, temp, err := i.buckets(names)
	if err != nil {
		return nil, "", err
	}
	for _, b := range buckets {
		principal = cmp.Or(i.principal, b.Principal, principal)
		a := guard.Access{
			Bucket: b.Name, Partition: partitionOf(cmp.Or(i.principal, b.Principal), regionOf(b)), Region: b.Region,
			Prefix: i.prefix, TempPrefix: temp,
			Read: !i.writeOnly, Write: !i.readOnly, Verify: !i.noVerify && b.Verify,
			VerifyPrefix: b.VerifyPrefix, VerifyKey: b.VerifyKey, VerifyPolicy: b.Signing == "query",
		}
		if strings.HasPrefix(b.SSE, "aws:kms") {
			a.KMSKey = keyOf(b, principal)
		}
		a.KMSKey = cmp.Or(i.kmsKey, a.KMSKey)
		list = append(list, a)
	}
	i.logs.Partition = partitionOf(principal, os.Getenv("AWS_REGION"))
	return list, principal, nil
}

// buckets are those that are named, or all of the configuration.
func (i *iamFlags) buckets(names []string) (list []config.Bucket, temp string, err error) {
	cfg := config.Default()
	if i.path == "" {
		if len(names) == 0 {
			return nil, "", usagef("name a bucket, or a configuration that has some with --config")
		}
		for _, name := range names {
			list = append(list, config.Bucket{Name: name, Verify: true, VerifyPrefix: i.prefix})
		}
		return list, cfg.Upload.TempPrefix, nil
	}
	if cfg, err = config.Load(i.path, os.Environ(), nil); err != nil {
		return nil, "", usageError{err}
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(cfg.Buckets))
	}
	for _, alias := range names {
		b, ok := cfg.Buckets[alias]
		if !ok {
			return nil, "", usagef("%s has no bucket with the alias %q", i.path, alias)
		}
		b.Name = cmp.Or(b.Name, alias)
		list = append(list, b)
	}
	return list, cfg.Upload.TempPrefix, nil
}

// keyOf is the ARN of a bucket's key. A bare ID has one in the gate's account.
func keyOf(b config.Bucket, principal string) string {
	id := b.SSEKMSKeyID
	account := accountOf(principal)
	if strings.ContainsAny(id, ":/") || account == "" || b.Region == "" || id == "" {
		return cmp.Or(id, "the account's own key")
	}
	return "arn:" + partitionOf(principal, b.Region) + ":kms:" + b.Region + ":" + account + ":key/" + id
}

// partitionOf is the partition in an ARN, or that of a region if there is none.
func partitionOf(arn, region string) string {
	if f := strings.SplitN(arn, ":", 3); len(f) == 3 && f[0] == "arn" {
		return f[1]
	}
	return policy.PartitionOf(region)
}

func (i *iamFlags) printPolicy(cmd *cobra.Command, buckets []guard.Access) error {
	var logs []guard.LogAccess
	if i.logs.Bucket+i.logs.Queue != "" {
		logs = append(logs, i.logs)
	}
	list, err := guard.GatePolicy(buckets, logs)
	if err != nil {
		return err
	}
	text, err := policy.IdentityPolicy(list)
	if err != nil {
		return err
	}
	p := newPrinter(cmd)
	if size := guard.PolicySize(list); size > guard.MaxManagedPolicy {
		p.say("IAM takes %d characters in one managed policy, and this has %d: print it bucket by bucket", guard.MaxManagedPolicy, size)
	}
	if slices.ContainsFunc(buckets, func(a guard.Access) bool { return a.KMSKey != "" }) {
		p.say("the policies of the KMS keys may have to permit it too: see --key-policy")
	}
	if p.json {
		return p.print(json.RawMessage(text), nil)
	}
	fmt.Fprintf(p.out, "%s\n", text)
	return nil
}

func (i *iamFlags) printKeys(cmd *cobra.Command, principal string, buckets []guard.Access) error {
	keys, err := guard.KeyPolicy(principal, buckets)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return usagef("no bucket has a KMS key: name one with --kms-key")
	}
	return newPrinter(cmd).print(keys, func(p *printer) {
		enc := json.NewEncoder(p.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		_ = enc.Encode(keys)
	})
}
