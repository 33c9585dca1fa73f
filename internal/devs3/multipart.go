package devs3

import (
	"context"
	"io"

	"github.com/rclone/gofakes3"

	"s3gate/internal/devs3/disk"
)

// The multipart half of the backend.

func (b *backend) CreateMultipartUpload(ctx context.Context, bucket, key string, meta map[string]string) (gofakes3.UploadID, error) {
	x := exchangeOf(ctx)
	u, err := b.store.Begin(disk.Upload{Bucket: bucket, Key: key, Header: kept(meta), Checksum: x.checksum, Encryption: x.encryption})
	if err != nil {
		return "", x.w.because(err)
	}
	x.uploadID = u.ID
	return gofakes3.UploadID(u.ID), nil
}

func (b *backend) UploadPart(ctx context.Context, bucket, key string, id gofakes3.UploadID, number int, size int64, in io.Reader) (string, error) {
	x := exchangeOf(ctx)
	d, sum, err := b.receive(x, in)
	if err != nil {
		return "", x.w.because(err)
	}
	defer d.Discard()
	if d.Size() != size {
		return "", x.w.because(errIncompleteBody)
	}
	p, err := b.store.PutPart(bucket, key, string(id), disk.Part{Number: number, MD5: sum, Checksum: x.checksum}, d)
	if err != nil {
		return "", x.w.because(err)
	}
	return p.ETag(), nil
}

func (b *backend) CompleteMultipartUpload(ctx context.Context, bucket, key string, id gofakes3.UploadID, _ *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	x := exchangeOf(ctx)
	o, err := b.complete(x, bucket, key, string(id))
	if err != nil {
		return "", "", x.w.because(err)
	}
	x.stored = o
	return "", o.ETag(), nil
}

func (b *backend) complete(x *exchange, bucket, key, id string) (*disk.Object, error) {
	u, err := b.store.Upload(bucket, key, id)
	if err != nil {
		return nil, err
	}
	a, err := x.assembly(u)
	if err != nil {
		return nil, err
	}
	return b.store.Complete(bucket, key, id, a)
}

func (b *backend) AbortMultipartUpload(ctx context.Context, bucket, key string, id gofakes3.UploadID) error {
	return exchangeOf(ctx).w.because(b.store.Abort(bucket, key, string(id)))
}
