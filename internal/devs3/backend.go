package devs3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/rclone/gofakes3"

	"s3gate/internal/devs3/disk"
)

// backend is the disk as gofakes3 wants to see it. What gofakes3 has no way to
// say, the methods find in the exchange.
type backend struct{ *Server }

var (
	_ gofakes3.Backend              = (*backend)(nil)
	_ gofakes3.MultipartBackend     = (*backend)(nil)
	_ gofakes3.ObjectTaggingBackend = (*backend)(nil)
)

func (b *backend) ListBuckets(context.Context) ([]gofakes3.BucketInfo, error) {
	var infos []gofakes3.BucketInfo
	for _, bucket := range b.store.Buckets() {
		infos = append(infos, gofakes3.BucketInfo{Name: bucket.Name, CreationDate: gofakes3.NewContentTime(bucket.Created)})
	}
	return infos, nil
}

func (b *backend) ListBucket(ctx context.Context, name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	found, err := b.store.List(name, prefix.Prefix, prefix.Delimiter, page.Marker, int(page.MaxKeys))
	if err != nil {
		return nil, exchangeOf(ctx).w.because(err)
	}
	list := gofakes3.NewObjectList()
	for _, o := range found.Objects {
		list.Add(&gofakes3.Content{Key: o.Key, LastModified: gofakes3.NewContentTime(o.Modified), ETag: o.ETag(), Size: o.Size, StorageClass: gofakes3.StorageStandard})
	}
	for _, p := range found.Prefixes {
		list.AddPrefix(p)
	}
	list.IsTruncated, list.NextMarker = found.Next != "", found.Next
	return list, nil
}

func (b *backend) CreateBucket(ctx context.Context, name string) error {
	x := exchangeOf(ctx)
	if err := b.store.CreateBucket(name); err != nil {
		return x.w.because(err)
	}
	if x.ownership == nil {
		return nil
	}
	return x.w.because(b.store.Set(name, disk.Ownership, ownershipControls.render(x.ownership)))
}

func (b *backend) BucketExists(_ context.Context, name string) (bool, error) {
	return b.store.HasBucket(name), nil
}

func (b *backend) DeleteBucket(ctx context.Context, name string) error {
	return exchangeOf(ctx).w.because(b.store.DeleteBucket(name))
}

func (b *backend) HeadObject(ctx context.Context, bucket, key string) (*gofakes3.Object, error) {
	x := exchangeOf(ctx)
	if x.reads(bucket, key) {
		return describe(x.read.Object)
	}
	o, err := b.store.Stat(bucket, key, "")
	if errors.Is(err, disk.ErrNoKey) {
		return nil, gofakes3.KeyNotFound(key) // gofakes3 asks for this one
	}
	if err != nil {
		return nil, x.w.because(err)
	}
	return describe(o)
}

func (b *backend) GetObject(ctx context.Context, bucket, key string, part *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	x := exchangeOf(ctx)
	if !x.reads(bucket, key) {
		return nil, x.w.because(errors.New("reading an object that was not opened"))
	}
	o, err := describe(x.read.Object)
	if err != nil {
		return nil, x.w.because(err)
	}
	if o.Range, err = part.Range(o.Size); err != nil {
		return nil, err
	}
	start, length := int64(0), o.Size
	if o.Range != nil {
		start, length = o.Range.Start, o.Range.Length
	}
	if _, err := x.read.file.Seek(start, io.SeekStart); err != nil {
		return nil, x.w.because(err)
	}
	o.Contents = &section{io.LimitedReader{R: x.read.file, N: length}}
	return o, nil
}

// reads reports whether the exchange has opened this object's data.
func (x *exchange) reads(bucket, key string) bool {
	return x.read != nil && x.read.bucket == bucket && x.read.Key == key
}

// section is a stretch of a file. The exchange closes the file.
type section struct{ io.LimitedReader }

func (*section) Close() error { return nil }

// WriteTo hands net/http the file itself, which it can send without reading.
func (s *section) WriteTo(w io.Writer) (int64, error) {
	return w.(io.ReaderFrom).ReadFrom(&s.LimitedReader)
}

// describe is an object without its data.
func describe(o *disk.Object) (*gofakes3.Object, error) {
	sum, err := hex.DecodeString(o.MD5)
	if err != nil {
		return nil, err
	}
	meta := make(map[string]string, len(o.Header)+1)
	maps.Copy(meta, o.Header)
	meta["Last-Modified"] = o.Modified.Format(http.TimeFormat)
	return &gofakes3.Object{Name: o.Key, Size: o.Size, Hash: sum, Metadata: meta, PartSizes: o.Parts, Contents: io.NopCloser(strings.NewReader(""))}, nil
}

func (b *backend) PutObject(ctx context.Context, bucket, key string, meta map[string]string, in io.Reader, _ int64) (gofakes3.PutObjectResult, error) {
	x := exchangeOf(ctx)
	d, sum, err := b.receive(x, in)
	if err != nil {
		return gofakes3.PutObjectResult{}, x.w.because(err)
	}
	defer d.Discard()
	o := disk.Object{Key: key, MD5: sum, Header: kept(meta), Checksum: x.checksum, Encryption: x.encryption}
	x.stored, err = b.store.Put(bucket, o, d, x.condition.check)
	if err != nil {
		return gofakes3.PutObjectResult{}, x.w.because(err)
	}
	return gofakes3.PutObjectResult{ETag: x.stored.ETag()}, nil
}

// receive takes the request's body into a draft and returns its MD5 in hex. It
// fails unless all of the body came and is what it was declared to be.
func (b *backend) receive(x *exchange, in io.Reader) (*disk.Draft, string, error) {
	d, err := b.store.Create()
	if err != nil {
		return nil, "", err
	}
	sum, err := copyHashed(d, in)
	if err == nil {
		err = x.payload.end()
	}
	if err != nil {
		d.Discard()
		return nil, "", err
	}
	return d, sum, nil
}

// copyHashed copies in to d and returns the MD5 in hex.
func copyHashed(d *disk.Draft, in io.Reader) (string, error) {
	// gofakes3's reader has the sum already, unless it reads for a part.
	sum, summed := in.(interface{ Sum(b []byte) []byte })
	to := io.Writer(d)
	if !summed {
		h := md5.New()
		sum, to = h, io.MultiWriter(d, h)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{in}, *buf); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// kept is the metadata to store: gofakes3 adds a date that the store sets
// itself.
func kept(meta map[string]string) map[string]string {
	header := maps.Clone(meta)
	delete(header, "Last-Modified")
	return header
}

func (b *backend) CopyObject(ctx context.Context, _, _, bucket, key string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	x := exchangeOf(ctx)
	o, err := b.copy(x, bucket, disk.Object{Key: key, MD5: x.read.MD5, Header: kept(meta), Encryption: x.encryption})
	if err != nil {
		return gofakes3.CopyObjectResult{}, x.w.because(err)
	}
	x.stored = o
	return gofakes3.CopyObjectResult{ETag: o.ETag(), LastModified: gofakes3.NewContentTime(o.Modified)}, nil
}

func (b *backend) copy(x *exchange, bucket string, o disk.Object) (*disk.Object, error) {
	d, err := b.store.Create()
	if err != nil {
		return nil, err
	}
	defer d.Discard()
	if x.read.Checksum.Type == fullObject {
		o.Checksum = x.read.Checksum
	}
	if len(x.read.Parts) == 0 {
		_, err = d.Append(x.read.file)
	} else {
		// The copy is one piece, so its MD5 is that of the data.
		o.MD5, err = copyHashed(d, x.read.file)
	}
	if err != nil {
		return nil, err
	}
	return b.store.Put(bucket, o, d, x.condition.check)
}

// DeleteObject is never called: deleteObject answers.
func (b *backend) DeleteObject(context.Context, string, string) (gofakes3.ObjectDeleteResult, error) {
	return gofakes3.ObjectDeleteResult{}, gofakes3.ErrNotImplemented
}

// DeleteMulti is never called: deleteObjects answers DeleteObjects.
func (b *backend) DeleteMulti(context.Context, string, ...string) (gofakes3.MultiDeleteResult, error) {
	return gofakes3.MultiDeleteResult{}, gofakes3.ErrNotImplemented
}

func (b *backend) SetObjectTagging(ctx context.Context, bucket, key, tagging string) error {
	x := exchangeOf(ctx)
	return x.w.because(b.store.SetHeader(bucket, key, x.read.Version(), gofakes3.TaggingMetadataKey, tagging))
}
