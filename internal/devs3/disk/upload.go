package disk

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// MinPartSize is the least size in bytes of every part but the last, as on S3.
const MinPartSize = 5 << 20

// Upload is a multipart upload in progress.
type Upload struct {
	ID      string // sorts by time of creation
	Bucket  string
	Key     string
	Header  map[string]string // becomes the object's
	Started time.Time
	// Checksum says by its Algorithm and Type which digest the object will
	// carry; it has no Value.
	Checksum   Checksum
	Encryption Encrypted // the object's
}

// Part is one uploaded part.
type Part struct {
	Number   int // from 1
	Size     int64
	MD5      string // hex
	Checksum Checksum
	Modified time.Time
}

// ETag returns the part's quoted entity tag.
func (p Part) ETag() string { return `"` + p.MD5 + `"` }

type upload struct {
	Upload
	store *Store

	mu    sync.Mutex // guards what follows; held while assembling; taken before Store.mu
	parts map[int]storedPart
	over  bool
}

type storedPart struct {
	Part
	file string
}

// Begin starts a multipart upload and fills in its ID and time.
func (s *Store) Begin(u Upload) (Upload, error) {
	u.Started = time.Now().UTC()
	u.ID = fmt.Sprintf("%016x%s", u.Started.UnixNano(), newName())
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.bucket(u.Bucket); err != nil {
		return Upload{}, err
	}
	s.uploads[u.ID] = &upload{Upload: u, store: s, parts: map[int]storedPart{}}
	return u, nil
}

// Upload returns the upload with that ID, or [ErrNoUpload]. Bucket and key must
// be those it was begun with.
func (s *Store) Upload(bucket, key, id string) (Upload, error) {
	u, err := s.uploading(bucket, key, id)
	if err != nil {
		return Upload{}, err
	}
	return u.Upload, nil
}

// Uploads returns the uploads in progress in a bucket, sorted by key, then by
// time of creation.
func (s *Store) Uploads(bucket string) ([]Upload, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.bucket(bucket); err != nil {
		return nil, err
	}
	var all []Upload
	for _, u := range s.uploads {
		if u.Bucket == bucket {
			all = append(all, u.Upload)
		}
	}
	slices.SortFunc(all, func(a, b Upload) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

// PutPart makes a draft the part p.Number of an upload, in the place of one of
// the same number. Size and Modified are filled in. The draft is accepted only
// if the error is nil.
func (s *Store) PutPart(bucket, key, id string, p Part, d *Draft) (Part, error) {
	u, err := s.uploading(bucket, key, id)
	if err != nil {
		return Part{}, err
	}
	if err := d.seal(); err != nil {
		return Part{}, err
	}
	p.Size = d.size
	p.Modified = time.Now().UTC().Truncate(time.Second)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		return Part{}, ErrNoUpload
	}
	old, replaced := u.parts[p.Number]
	u.parts[p.Number] = storedPart{p, d.name}
	d.kept = true
	if replaced {
		s.grave.bury(s.dataPath(old.file))
	}
	return p, nil
}

// Parts returns the parts of an upload, sorted by number.
func (s *Store) Parts(bucket, key, id string) ([]Part, error) {
	u, err := s.uploading(bucket, key, id)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make([]Part, 0, len(u.parts))
	for _, p := range u.parts {
		all = append(all, p.Part)
	}
	slices.SortFunc(all, func(a, b Part) int { return a.Number - b.Number })
	return all, nil
}

// Abort ends an upload and removes its parts.
func (s *Store) Abort(bucket, key, id string) error {
	u, err := s.uploading(bucket, key, id)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.end()
	return nil
}

// dropUploads aborts all uploads that match.
func (s *Store) dropUploads(match func(Upload) bool) {
	// Collected first: an upload's lock is taken before the store's.
	var gone []*upload
	s.mu.RLock()
	for _, u := range s.uploads {
		if match(u.Upload) {
			gone = append(gone, u)
		}
	}
	s.mu.RUnlock()
	for _, u := range gone {
		u.mu.Lock()
		u.end()
		u.mu.Unlock()
	}
}

// end forgets the upload and removes its parts. It needs u.mu.
func (u *upload) end() {
	u.over = true
	u.store.mu.Lock()
	delete(u.store.uploads, u.ID)
	u.store.mu.Unlock()
	for _, p := range u.parts {
		u.store.grave.bury(u.store.dataPath(p.file))
	}
	clear(u.parts)
}

func (s *Store) uploading(bucket, key, id string) (*upload, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.uploads[id]
	if u == nil || u.Bucket != bucket || u.Key != key {
		return nil, ErrNoUpload
	}
	return u, nil
}
