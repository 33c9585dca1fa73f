package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/s3client"
)

func newBucket() *cobra.Command {
	return group("bucket", "Lock a bucket against presigned URLs, and prove it", newLock(), newUnlock(), newRollback(), newVerify(), newListBuckets(), newHarden(), newAudit(), newIAM(), newBucketExplain())
}

// bucketFlags adds the flags that say how to reach a bucket.
func bucketFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringP("config", "c", os.Getenv("S3GATE_CONFIG"), "YAML file with settings; BUCKET is then an alias in it")
	f.String("endpoint", "", "the URL of an S3-compatible store (default: Amazon S3)")
	f.String("region", "", "the bucket's region")
	f.Bool("path-style", false, "put the bucket's name into the path")
	f.String("profile", "", "a profile of the AWS SDK's shared configuration")
}

// configuredBuckets are those of the configuration that the command line names;
// nil if it names none.
func configuredBuckets(cmd *cobra.Command) (map[string]config.Bucket, error) {
	path, _ := cmd.Flags().GetString("config")
	if path == "" {
		return nil, nil
	}
	cfg, err := config.Load(path, os.Environ(), nil)
	if err != nil {
		return nil, usageError{err}
	}
	return cfg.Buckets, nil
}

// bucketSettings are those of the bucket of the command line. It asks nobody.
func bucketSettings(cmd *cobra.Command, name string) (config.Bucket, error) {
	f := cmd.Flags()
	b := config.Bucket{Name: name}
	configured, err := configuredBuckets(cmd)
	if err != nil {
		return b, err
	}
	if configured != nil {
		var ok bool
		if b, ok = configured[name]; !ok {
			path, _ := f.GetString("config")
			return b, usagef("%s has no bucket with the alias %q", path, name)
		}
	}
	bucketOverrides(cmd, &b)
	return b, nil
}

// openBucket opens the bucket of the command line, with the AWS SDK's default
// credentials unless the configuration has some.
func openBucket(cmd *cobra.Command, name string) (*s3client.Bucket, config.Bucket, error) {
	b, err := bucketSettings(cmd, name)
	if err != nil {
		return nil, b, err
	}
	bucket, err := openSettings(cmd, b)
	return bucket, b, err
}

// openSettings opens the bucket that settings describe.
func openSettings(cmd *cobra.Command, b config.Bucket) (*s3client.Bucket, error) {
	return gate.OpenBucket(cmd.Context(), b, config.Default().Upstream, "s3gate/"+versionString(), slog.New(slog.DiscardHandler))
}

// bucketOverrides makes the flags count that were given.
func bucketOverrides(cmd *cobra.Command, b *config.Bucket) {
	f := cmd.Flags()
	for flag, field := range map[string]*string{"endpoint": &b.Endpoint, "region": &b.Region, "profile": &b.Profile} {
		if f.Changed(flag) {
			*field, _ = f.GetString(flag)
		}
	}
	if f.Changed("path-style") {
		b.PathStyle, _ = f.GetBool("path-style")
	}
}
