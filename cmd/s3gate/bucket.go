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
	return group("bucket", "Lock a bucket against presigned URLs, and prove it", newLock(), newUnlock(), newVerify())
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

// openBucket opens the bucket of the command line, with the AWS SDK's default
// credentials unless the configuration has some.
func openBucket(cmd *cobra.Command, name string) (*s3client.Bucket, config.Bucket, error) {
	f := cmd.Flags()
	b := config.Bucket{Name: name}
	if path, _ := f.GetString("config"); path != "" {
		cfg, err := config.Load(path, os.Environ(), nil)
		if err != nil {
			return nil, b, usageError{err}
		}
		var ok bool
		if b, ok = cfg.Buckets[name]; !ok {
			return nil, b, usagef("%s has no bucket with the alias %q", path, name)
		}
	}
	bucketOverrides(cmd, &b)
	bucket, err := gate.OpenBucket(cmd.Context(), b, config.Default().Upstream, "s3gate/"+versionString(), slog.New(slog.DiscardHandler))
	return bucket, b, err
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
