package devs3

import (
	"net/http"
	"slices"
	"strings"
)

// operation is one call of the S3 API.
type operation struct {
	name string
	// action is what the caller needs permission for, on the bucket or
	// object named by the path; empty when serve asks by itself.
	action string
	// versions: the request may name a version.
	versions bool
	// describes: x-amz-checksum-* headers speak of the object, not of the
	// request's body.
	describes bool
	// prepare checks and rewrites what gofakes3 would misunderstand.
	prepare func(*exchange) error
	// serve answers in the place of gofakes3.
	serve func(*exchange) error
}

// level is what a path names.
type level int

const (
	service level = iota
	bucket
	object
)

// route is how the operation is found: by what the path names, the method and
// the subresource in the query.
type route struct {
	level       level
	method      string
	subresource string
}

const opCreateBucket = "CreateBucket"

var (
	getObject       = operation{name: "GetObject", action: "s3:GetObject", versions: true, prepare: (*exchange).prepareRead}
	headObject      = operation{name: "HeadObject", action: "s3:GetObject", versions: true, prepare: (*exchange).prepareRead}
	putObject       = operation{name: "PutObject", action: "s3:PutObject", prepare: (*exchange).preparePut}
	createUpload    = operation{name: "CreateMultipartUpload", action: "s3:PutObject", describes: true, prepare: (*exchange).prepareUpload}
	uploadPart      = operation{name: "UploadPart", action: "s3:PutObject", prepare: (*exchange).preparePart}
	completeUpload  = operation{name: "CompleteMultipartUpload", action: "s3:PutObject", describes: true, prepare: (*exchange).prepareComplete}
	listObjects     = operation{name: "ListObjects", action: "s3:ListBucket", prepare: (*exchange).prepareList}
	deleteObject    = operation{name: "DeleteObject", action: "s3:DeleteObject", versions: true, serve: (*exchange).deleteObject}
	getBucketPolicy = operation{name: "GetBucketPolicy", action: "s3:GetBucketPolicy", serve: (*exchange).getPolicy}
	putBucketPolicy = operation{name: "PutBucketPolicy", action: "s3:PutBucketPolicy", serve: (*exchange).putPolicy}
	delBucketPolicy = operation{name: "DeleteBucketPolicy", action: "s3:DeleteBucketPolicy", serve: (*exchange).deletePolicy}
)

var routes = map[route]*operation{
	{service, "GET", ""}: {name: "ListBuckets", action: "s3:ListAllMyBuckets"},

	{bucket, "PUT", ""}:             {name: opCreateBucket, action: "s3:CreateBucket", prepare: (*exchange).prepareBucket},
	{bucket, "DELETE", ""}:          {name: "DeleteBucket", action: "s3:DeleteBucket"},
	{bucket, "HEAD", ""}:            {name: "HeadBucket", action: "s3:ListBucket", prepare: (*exchange).nameRegion},
	{bucket, "GET", ""}:             &listObjects,
	{bucket, "POST", ""}:            {name: "PostObject", serve: (*exchange).postObject},
	{bucket, "POST", "delete"}:      {name: "DeleteObjects", serve: (*exchange).deleteObjects},
	{bucket, "GET", "location"}:     {name: "GetBucketLocation", action: "s3:GetBucketLocation", serve: (*exchange).bucketLocation},
	{bucket, "GET", "policy"}:       &getBucketPolicy,
	{bucket, "PUT", "policy"}:       &putBucketPolicy,
	{bucket, "DELETE", "policy"}:    &delBucketPolicy,
	{bucket, "GET", "uploads"}:      {name: "ListMultipartUploads", action: "s3:ListBucketMultipartUploads", serve: (*exchange).listUploads},
	{bucket, "GET", "versioning"}:   {name: "GetBucketVersioning", action: "s3:GetBucketVersioning", serve: (*exchange).getVersioning},
	{bucket, "GET", "versions"}:     {name: "ListObjectVersions", action: "s3:ListBucketVersions", serve: (*exchange).listVersions},
	{bucket, "PUT", "versioning"}:   {name: "PutBucketVersioning", action: "s3:PutBucketVersioning", serve: (*exchange).putVersioning},
	{bucket, "GET", "acl"}:          {name: "GetBucketAcl", action: "s3:GetBucketAcl", serve: (*exchange).bucketACL},
	{bucket, "PUT", "acl"}:          {name: "PutBucketAcl", action: "s3:PutBucketAcl", serve: (*exchange).refuseACL},
	{bucket, "GET", "policyStatus"}: {name: "GetBucketPolicyStatus", action: "s3:GetBucketPolicyStatus", serve: (*exchange).policyStatus},

	{bucket, "GET", "publicAccessBlock"}:    {name: "GetPublicAccessBlock", action: "s3:GetBucketPublicAccessBlock", serve: publicAccessBlock.get},
	{bucket, "PUT", "publicAccessBlock"}:    {name: "PutPublicAccessBlock", action: "s3:PutBucketPublicAccessBlock", serve: publicAccessBlock.put},
	{bucket, "DELETE", "publicAccessBlock"}: {name: "DeletePublicAccessBlock", action: "s3:PutBucketPublicAccessBlock", serve: publicAccessBlock.delete},
	{bucket, "GET", "ownershipControls"}:    {name: "GetBucketOwnershipControls", action: "s3:GetBucketOwnershipControls", serve: ownershipControls.get},
	{bucket, "PUT", "ownershipControls"}:    {name: "PutBucketOwnershipControls", action: "s3:PutBucketOwnershipControls", serve: ownershipControls.put},
	{bucket, "DELETE", "ownershipControls"}: {name: "DeleteBucketOwnershipControls", action: "s3:PutBucketOwnershipControls", serve: ownershipControls.delete},
	{bucket, "GET", "encryption"}:           {name: "GetBucketEncryption", action: "s3:GetEncryptionConfiguration", serve: bucketEncryption.get},
	{bucket, "PUT", "encryption"}:           {name: "PutBucketEncryption", action: "s3:PutEncryptionConfiguration", serve: bucketEncryption.put},
	{bucket, "DELETE", "encryption"}:        {name: "DeleteBucketEncryption", action: "s3:PutEncryptionConfiguration", serve: bucketEncryption.delete},
	{bucket, "GET", "lifecycle"}:            {name: "GetBucketLifecycleConfiguration", action: "s3:GetLifecycleConfiguration", serve: bucketLifecycle.get},
	{bucket, "PUT", "lifecycle"}:            {name: "PutBucketLifecycleConfiguration", action: "s3:PutLifecycleConfiguration", serve: bucketLifecycle.put},
	{bucket, "DELETE", "lifecycle"}:         {name: "DeleteBucketLifecycle", action: "s3:PutLifecycleConfiguration", serve: bucketLifecycle.delete},
	{bucket, "GET", "logging"}:              {name: "GetBucketLogging", action: "s3:GetBucketLogging", serve: bucketLogging.get},
	{bucket, "PUT", "logging"}:              {name: "PutBucketLogging", action: "s3:PutBucketLogging", serve: bucketLogging.put},

	{object, "GET", ""}:            &getObject,
	{object, "HEAD", ""}:           &headObject,
	{object, "PUT", ""}:            &putObject,
	{object, "DELETE", ""}:         &deleteObject,
	{object, "GET", "acl"}:         {name: "GetObjectAcl", action: "s3:GetObjectAcl", versions: true, serve: (*exchange).objectACL},
	{object, "PUT", "acl"}:         {name: "PutObjectAcl", action: "s3:PutObjectAcl", versions: true, serve: (*exchange).refuseACL},
	{object, "GET", "tagging"}:     {name: "GetObjectTagging", action: "s3:GetObjectTagging", versions: true, prepare: (*exchange).prepareTagging},
	{object, "PUT", "tagging"}:     {name: "PutObjectTagging", action: "s3:PutObjectTagging", versions: true, prepare: (*exchange).prepareTagging},
	{object, "DELETE", "tagging"}:  {name: "DeleteObjectTagging", action: "s3:DeleteObjectTagging", versions: true, prepare: (*exchange).prepareTagging},
	{object, "POST", "uploads"}:    &createUpload,
	{object, "PUT", "uploadId"}:    &uploadPart,
	{object, "POST", "uploadId"}:   &completeUpload,
	{object, "GET", "uploadId"}:    {name: "ListParts", action: "s3:ListMultipartUploadParts", serve: (*exchange).listParts},
	{object, "DELETE", "uploadId"}: {name: "AbortMultipartUpload", action: "s3:AbortMultipartUpload"},
}

// route finds the operation.
func (x *exchange) route() error {
	sub, err := x.subresource()
	if err != nil {
		return err
	}
	at := route{x.level(), x.r.Method, sub}
	op, ok := routes[at]
	if !ok {
		return x.noRoute(at)
	}
	x.op = op
	return x.checkVersion()
}

// checkVersion takes the version that the request names.
func (x *exchange) checkVersion() error {
	switch {
	case !x.query.Has("versionId"):
		return nil
	case !x.op.versions:
		return invalidArgument("versionId", "This operation does not accept a version-id.")
	case x.query.Get("versionId") == "":
		return invalidArgument("versionId", "Version id cannot be the empty string")
	}
	x.version = x.query.Get("versionId")
	return nil
}

func (x *exchange) level() level {
	switch {
	case x.bucket == "":
		return service
	case x.key == "":
		return bucket
	default:
		return object
	}
}

// noRoute tells a method that does not go with the target from a target that
// is not supported at all.
func (x *exchange) noRoute(at route) error {
	if at.method == http.MethodOptions {
		return errCORS
	}
	var allow []string
	for r := range routes {
		if r.level == at.level && r.subresource == at.subresource {
			allow = append(allow, r.method)
		}
	}
	if allow == nil {
		return errNotImplemented
	}
	slices.Sort(allow)
	x.w.Header().Set("Allow", strings.Join(allow, ", "))
	return errMethodNotAllowed
}
