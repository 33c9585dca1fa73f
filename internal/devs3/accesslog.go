package devs3

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	"s3gate/internal/devs3/disk"
)

const (
	// logDelay is how long a line waits for others, unless the configuration
	// says otherwise. S3 takes minutes to hours.
	logDelay = 5 * time.Second
	// maxLogObject ends an object before that, in bytes.
	maxLogObject = 1 << 20
)

// accessLogs delivers server access logs ("Logging requests with server access
// logging", Amazon S3 User Guide): lines collect in memory and become one object
// for each bucket and destination. That is best effort, as it is on S3: what is
// not delivered when the process is killed is lost. The policy of the target
// bucket is not asked, since no principal here is a service.
//
// It is safe for concurrent use. The owner calls close before it closes store.
type accessLogs struct {
	store *disk.Store
	log   *slog.Logger
	delay time.Duration
	// turn does what it is given while the store is open, or not at all.
	turn   func(func())
	region string

	mu      sync.Mutex // guards what follows
	pending map[destination]*bytes.Buffer
	timer   *time.Timer // runs while something is pending
}

// destination is where the lines about a bucket go.
type destination struct {
	source, target, prefix string
	partitioned            bool // the key has the source and the date of delivery in it
}

func (l *accessLogs) add(to destination, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.pending[to]
	if text == nil {
		text = new(bytes.Buffer)
		l.pending[to] = text
	}
	text.Write(line)
	switch {
	case text.Len() >= maxLogObject:
		delete(l.pending, to)
		l.deliver(to, text)
	case l.timer == nil:
		l.timer = time.AfterFunc(l.delay, func() { l.turn(l.flush) })
	}
}

// flush delivers all that is pending.
func (l *accessLogs) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	for to, text := range l.pending {
		l.deliver(to, text)
	}
	clear(l.pending)
}

// close delivers the rest.
func (l *accessLogs) close() {
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.flush()
}

// deliver makes an object of the lines. It needs l.mu.
func (l *accessLogs) deliver(to destination, text *bytes.Buffer) {
	if err := l.write(to, text.Bytes()); err != nil {
		l.log.Warn("delivering access log", "bucket", to.source, "target", to.target, "err", err)
	}
}

func (l *accessLogs) write(to destination, text []byte) error {
	d, err := l.store.Create()
	if err != nil {
		return err
	}
	defer d.Discard()
	if _, err := d.Write(text); err != nil {
		return err
	}
	sum := md5.Sum(text)
	_, err = l.store.Put(to.target, disk.Object{
		Key: to.key(l.region, time.Now().UTC()), MD5: hex.EncodeToString(sum[:]),
		Header:     map[string]string{"Content-Type": "text/plain"},
		Encryption: disk.Encrypted{Algorithm: sseS3},
	}, d, nil)
	return err
}

// key names a log object ("Log object key format", Amazon S3 User Guide).
func (d destination) key(region string, now time.Time) string {
	name := now.Format("2006-01-02-15-04-05-") + rand.Text()[:16]
	if !d.partitioned {
		return d.prefix + name
	}
	return d.prefix + path.Join(Account, region, d.source, now.Format("2006/01/02"), name)
}

// logAccess writes lines about the request, if its bucket is logged: one about
// itself, and one about each key of a DeleteObjects. A copy has also read another
// object, which is told to the log of that one's bucket.
func (x *exchange) logAccess() {
	if to, ok := x.server.logsOf(x.bucket); ok {
		e := x.logEntry()
		x.server.accessLogs.add(to, e.line())
		for _, d := range x.batch {
			x.server.accessLogs.add(to, x.logDeletion(e, d))
		}
	}
	if x.read == nil || x.r.Header.Get(copySourceHeader) == "" {
		return
	}
	if to, ok := x.server.logsOf(x.read.bucket); ok {
		e := x.logEntry()
		e.bucket, e.key, e.operation = x.read.bucket, escapeKey(escapeKey(x.read.Key)), e.operation+"_GET"
		x.server.accessLogs.add(to, e.line())
	}
}

// logsOf returns where the log of a bucket goes, if it has one.
func (s *Server) logsOf(bucket string) (destination, bool) {
	var l logging
	found, err := s.stored(bucket, disk.Logging, &l)
	if err != nil || !found || l.Enabled == nil {
		return destination{}, false // a bucket that is not there is not logged either
	}
	f := l.Enabled.TargetObjectKeyFormat
	return destination{
		source: bucket, target: l.Enabled.TargetBucket, prefix: *l.Enabled.TargetPrefix,
		partitioned: f != nil && f.PartitionedPrefix != nil,
	}, true
}

// batchDeletion is what became of one key of a DeleteObjects.
type batchDeletion struct {
	key, version string
	err          error
}

// logDeletion makes of the line about a DeleteObjects that about one of its keys,
// which is encoded once and not twice.
func (x *exchange) logDeletion(e logEntry, d batchDeletion) []byte {
	e.operation, e.key, e.version, e.status, e.code = "BATCH.DELETE.OBJECT", escapeKey(d.key), d.version, "204", ""
	if d.err != nil {
		known := x.server.apiErrorOf(d.err)
		e.status, e.code = strconv.Itoa(known.status()), known.code
	}
	e.sent, e.size, e.took, e.turned = "", "", "", ""
	return e.line()
}

// resources are what access logs call the things that operations are about;
// others are called after what the path names.
var resources = map[string]string{
	"CompleteMultipartUpload": "UPLOAD", "ListParts": "UPLOAD", "AbortMultipartUpload": "UPLOAD",
	"CreateMultipartUpload": "UPLOADS", "ListMultipartUploads": "UPLOADS", "UploadPart": "PART",
	"DeleteObjects": "MULTI_OBJECT_DELETE", "PostObject": "OBJECT", "ListObjectVersions": "BUCKETVERSIONS",
	"GetObjectTagging": "OBJECT_TAGGING", "PutObjectTagging": "OBJECT_TAGGING", "DeleteObjectTagging": "OBJECT_TAGGING",
	"GetBucketAcl": "ACL", "PutBucketAcl": "ACL", "GetObjectAcl": "ACL", "PutObjectAcl": "ACL",
	"GetBucketPolicy": "BUCKETPOLICY", "PutBucketPolicy": "BUCKETPOLICY", "DeleteBucketPolicy": "BUCKETPOLICY",
	"GetBucketPolicyStatus": "POLICY_STATUS", "GetBucketLocation": "LOCATION",
	"GetBucketVersioning": "VERSIONING", "PutBucketVersioning": "VERSIONING",
	"GetBucketLogging": "LOGGING_STATUS", "PutBucketLogging": "LOGGING_STATUS",
	"GetBucketEncryption": "ENCRYPTION", "PutBucketEncryption": "ENCRYPTION", "DeleteBucketEncryption": "ENCRYPTION",
	"GetBucketLifecycleConfiguration": "LIFECYCLE", "PutBucketLifecycleConfiguration": "LIFECYCLE", "DeleteBucketLifecycle": "LIFECYCLE",
	"GetPublicAccessBlock": "PUBLIC_ACCESS_BLOCK", "PutPublicAccessBlock": "PUBLIC_ACCESS_BLOCK", "DeletePublicAccessBlock": "PUBLIC_ACCESS_BLOCK",
	"GetBucketOwnershipControls": "OWNERSHIP_CONTROLS", "PutBucketOwnershipControls": "OWNERSHIP_CONTROLS", "DeleteBucketOwnershipControls": "OWNERSHIP_CONTROLS",
}

// loggedOperation is REST.GET.OBJECT and the like.
func (x *exchange) loggedOperation() string {
	method, resource := x.r.Method, "BUCKET"
	if x.level() == object {
		resource = "OBJECT"
	}
	if x.op != nil && resources[x.op.name] != "" {
		resource = resources[x.op.name]
	}
	if x.r.Header.Get(copySourceHeader) != "" && slices.Contains([]string{"OBJECT", "PART"}, resource) {
		method = "COPY"
	}
	return "REST." + method + "." + resource
}
