package guard

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"s3gate/s3client"
)

// What protects the bucket's content: who may make it public, whose it is, and
// how it is stored.

func lookPublicAccess(ctx context.Context, b *s3client.Bucket, _ *Want) (look, error) {
	is, err := b.PublicAccessBlock(ctx)
	if err != nil {
		return look{}, err
	}
	all := s3client.PublicAccessBlock{BlockACLs: true, IgnoreACLs: true, BlockPolicy: true, RestrictPolicy: true}
	l := look{
		state: Weak, will: "all four on",
		apply: func(ctx context.Context) error { return b.PutPublicAccessBlock(ctx, all) },
	}
	switch {
	case is == nil:
		l.state, l.is = Missing, "none"
		l.note = "the account may have a block of its own, which is not looked at"
	case *is == all:
		return look{state: OK, is: l.will}, nil
	default:
		l.is = "off: " + strings.Join(openWays(is), ", ")
	}
	return l, nil
}

func openWays(p *s3client.PublicAccessBlock) (open []string) {
	for _, way := range []struct {
		shut bool
		name string
	}{
		{p.BlockACLs, "BlockPublicAcls"}, {p.IgnoreACLs, "IgnorePublicAcls"},
		{p.BlockPolicy, "BlockPublicPolicy"}, {p.RestrictPolicy, "RestrictPublicBuckets"},
	} {
		if !way.shut {
			open = append(open, way.name)
		}
	}
	return open
}

func lookOwnership(ctx context.Context, b *s3client.Bucket, _ *Want) (look, error) {
	is, err := b.Ownership(ctx)
	if err != nil {
		return look{}, err
	}
	if is == s3client.OwnerEnforced {
		return look{state: OK, is: is}, nil
	}
	l := look{
		state: Weak, is: is, will: s3client.OwnerEnforced,
		apply: func(ctx context.Context) error { return putOwnership(ctx, b) },
	}
	if is == "" {
		l.state, l.is = Missing, "not set"
	}
	// Those who have grants lose them, so whoever agrees should know.
	if grants, err := b.Grants(ctx); err == nil && len(grants) > 0 {
		l.note = "its ACL grants " + grantList(grants)
	}
	return l, nil
}

// putOwnership makes ACLs not count. S3 refuses while the bucket's own ACL
// grants something to others, and does not say to whom.
func putOwnership(ctx context.Context, b *s3client.Bucket) error {
	err := b.PutOwnership(ctx, s3client.OwnerEnforced)
	if !s3client.IsGrantsConflict(err) {
		return err
	}
	who := "others"
	if grants, readErr := b.Grants(ctx); readErr == nil && len(grants) > 0 {
		who = grantList(grants)
	}
	return fmt.Errorf("the bucket's ACL grants %s: give them the same by the bucket policy, "+
		"set the ACL to private, and run this again: %w", who, err)
}

func grantList(grants []s3client.Grant) string {
	var list []string
	for _, g := range grants {
		who := g.Grantee[strings.LastIndexByte(g.Grantee, '/')+1:]
		list = append(list, g.Permission+" to "+who)
	}
	return strings.Join(list, ", ")
}

const (
	sseS3  = "AES256"
	sseKMS = "aws:kms"
)

func lookEncryption(ctx context.Context, b *s3client.Bucket, w *Want) (look, error) {
	is, err := b.Encryption(ctx)
	if err != nil {
		return look{}, err
	}
	want := s3client.Encryption{Algorithm: sseS3}
	if w.KMSKey != "" {
		// A key of the bucket costs nothing and spares a call to KMS for each object.
		want = s3client.Encryption{Algorithm: sseKMS, KMSKey: w.KMSKey, BucketKey: true}
	}
	if is != nil {
		want.Blocked = is.Blocked
		if is.Algorithm == "aws:kms:dsse" { // twice, which is more
			want.Algorithm, want.BucketKey = is.Algorithm, false
		}
	}
	l := look{
		will:  encryptionWords(&want),
		apply: func(ctx context.Context) error { return b.PutEncryption(ctx, want) },
	}
	switch {
	case is == nil || is.Algorithm == "":
		l.state, l.is = Missing, "none"
	case w.KMSKey == "" || is.Algorithm != sseS3 && sameKey(is.KMSKey, w.KMSKey):
		l = look{state: OK, is: encryptionWords(is)}
	default:
		l.state, l.is = Weak, encryptionWords(is)
	}
	return l, nil
}

// sameKey compares keys of which one may be an ARN and the other its ID.
func sameKey(a, b string) bool {
	return a == b || a != "" && strings.HasSuffix(b, "/"+a) || b != "" && strings.HasSuffix(a, "/"+b)
}

func encryptionWords(e *s3client.Encryption) string {
	if e.Algorithm == sseS3 {
		return "SSE-S3"
	}
	words := "SSE-KMS"
	if e.Algorithm != sseKMS {
		words = e.Algorithm
	}
	words += " with " + cmp.Or(e.KMSKey, "the account's key")
	if e.BucketKey {
		words += ", bucket key"
	}
	return words
}

func lookVersioning(ctx context.Context, b *s3client.Bucket, _ *Want) (look, error) {
	is, err := b.Versioning(ctx)
	if err != nil {
		return look{}, err
	}
	if is == s3client.VersioningEnabled {
		return look{state: OK, is: is}, nil
	}
	l := look{
		state: Weak, is: is, will: s3client.VersioningEnabled, apply: b.EnableVersioning,
		note: "versions that were replaced stay, and cost, until a lifecycle rule deletes them (" + string(NoncurrentVersions) + ")",
	}
	if is == "" {
		l.state, l.is = Missing, "off"
	}
	return l, nil
}
