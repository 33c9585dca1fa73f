package devs3

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"os"
	"time"

	"s3gate/internal/devs3/disk"
	"s3gate/policy"
)

// exchange is one request and its answer. Its steps fill it in from top to
// bottom; the backend finds it again in the context of the request that is
// handed to gofakes3.
type exchange struct {
	server *Server
	w      *response
	r      *http.Request // as it came
	id     string
	began  time.Time

	bucket, key string
	version     string // of the object, where the request names one
	query       url.Values
	op          *operation
	caller      caller
	facts       policy.Context // for conditions; see context

	out       *http.Request // for gofakes3, which must not see all that came
	payload   *payload      // out's body, perhaps an empty one
	read      *snapshot     // the object read: of GET and HEAD, or the source of a copy
	condition writeCondition
	checksum  disk.Checksum // which the object written will carry

	encryption disk.Encrypted // likewise
	ownership  *ownership     // of the bucket to create; nil: not said

	completion completion   // the parts to assemble
	stored     *disk.Object // what was written
	uploadID   string       // of the multipart upload that was begun
	batch      []batchDeletion
}

// snapshot is an object as it was when the request began.
type snapshot struct {
	bucket string
	*disk.Object
	file *os.File // nil when only the description is asked for
}

func newExchange(s *Server, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{server: s, r: r, id: rand.Text()[:16], began: time.Now()}
	x.w = newResponse(w, x)
	return x
}

func (x *exchange) close() {
	if x.read != nil && x.read.file != nil {
		x.read.file.Close()
	}
}

// serve is the way of every request.
func (x *exchange) serve() error {
	if x.server.closed {
		return errClosed
	}
	for _, step := range []func() error{
		x.parseTarget,
		x.route,
		x.authenticate,
		x.requireBucket,
		x.authorize,
		x.prepare,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if x.op.serve != nil {
		return x.op.serve(x)
	}
	x.forward()
	return nil
}

// prepare makes the request that gofakes3, or a handler of ours, gets to see.
func (x *exchange) prepare() error {
	x.out = x.r.Clone(context.WithValue(x.r.Context(), exchangeKey{}, x))
	if err := x.readPayload(); err != nil {
		return err
	}
	if x.op.prepare != nil {
		return x.op.prepare(x)
	}
	return nil
}

// forward lets gofakes3 answer.
func (x *exchange) forward() {
	x.query.Del("versionId") // it knows none; what it reads has been opened
	x.out.URL.RawQuery = x.query.Encode()
	x.server.protocol.ServeHTTP(x.w, x.out)
}

// requireBucket answers 404 before any policy is asked, since a bucket that is
// not there has none. A bucket that is there has one owner.
func (x *exchange) requireBucket() error {
	for _, name := range []string{"X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner"} {
		if owner := x.r.Header.Get(name); owner != "" && owner != Account {
			return errAccessDenied
		}
	}
	if x.bucket == "" || x.op.name == opCreateBucket || x.server.store.HasBucket(x.bucket) {
		return nil
	}
	return errNoSuchBucket
}

// url is where the object is found.
func (x *exchange) url() string {
	u := url.URL{Scheme: "http", Host: x.r.Host, Path: "/" + x.bucket + "/" + x.key}
	if x.r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}

func (x *exchange) log(status int) {
	name := "none"
	if x.op != nil {
		name = x.op.name
	}
	x.server.log.Debug("S3 request", "op", name, "bucket", x.bucket, "key", x.key, "status", status,
		"auth", x.caller.authType, "user", x.caller.principal().UserName, "id", x.id)
}

type exchangeKey struct{}

// exchangeOf returns the exchange that a request of gofakes3 belongs to.
func exchangeOf(ctx context.Context) *exchange {
	return ctx.Value(exchangeKey{}).(*exchange)
}
