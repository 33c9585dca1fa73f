package policy

import "slices"

// objectActions are S3's actions on objects ("Actions, resources, and condition keys for Amazon S3",
// Service Authorization Reference). It is read only. One missing here is taken for an action on the
// bucket, and S3 then refuses the statement: it is noticed, not silently ineffective.
var objectActions = []string{
	"s3:AbortMultipartUpload",
	"s3:BypassGovernanceRetention",
	"s3:DeleteObject",
	"s3:DeleteObjectTagging",
	"s3:DeleteObjectVersion",
	"s3:DeleteObjectVersionTagging",
	"s3:GetObject",
	"s3:GetObjectAcl",
	"s3:GetObjectAttributes",
	"s3:GetObjectLegalHold",
	"s3:GetObjectRetention",
	"s3:GetObjectTagging",
	"s3:GetObjectTorrent",
	"s3:GetObjectVersion",
	"s3:GetObjectVersionAcl",
	"s3:GetObjectVersionAttributes",
	"s3:GetObjectVersionForReplication",
	"s3:GetObjectVersionTagging",
	"s3:GetObjectVersionTorrent",
	"s3:InitiateReplication",
	"s3:ListMultipartUploadParts",
	"s3:ObjectOwnerOverrideToBucketOwner",
	"s3:PutObject",
	"s3:PutObjectAcl",
	"s3:PutObjectLegalHold",
	"s3:PutObjectRetention",
	"s3:PutObjectTagging",
	"s3:PutObjectVersionAcl",
	"s3:PutObjectVersionTagging",
	"s3:ReplicateDelete",
	"s3:ReplicateObject",
	"s3:ReplicateTags",
	"s3:RestoreObject",
	"s3:UpdateObjectEncryption",
}

// actsOnObjects reports whether an action, which may hold wildcards, matches an action on objects.
func actsOnObjects(action string) bool { return covers(action, objectActions...) }

// coversBucketPolicy reports whether denying the action on the bucket could keep an administrator from
// taking the denial back.
func coversBucketPolicy(action string) bool {
	return covers(action, "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy")
}

func covers(action string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return includes(action, name, true) })
}

// includes reports whether text matches a pattern of characters and the wildcards * and ?.
func includes(pattern, text string, fold bool) bool {
	glyphs := []rune(pattern)
	for i, r := range glyphs {
		switch r {
		case '*':
			glyphs[i] = anyRun
		case '?':
			glyphs[i] = anyOne
		}
	}
	return like(glyphs, text, fold)
}
