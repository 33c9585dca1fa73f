// Package disk keeps buckets and objects as files of one local directory.
//
// Data goes to files with random names under data/; what an object is called,
// and everything else known of it, stands in one JSON document per object under
// buckets/, named after a hash of the key. A key never becomes a file name, so
// every key is legal on every file system.
//
// The invariant: an object exists when its document does, and a document is
// renamed into place only after the data it names is complete. A process killed
// at any moment therefore leaves whole objects and litter, never half an
// object; [Open] removes the litter. Nothing is fsynced: the promise holds for
// a killed process, not for a power cut.
//
// A bucket can keep versions. Each version and each delete marker has a document
// of its own, so nothing that is kept is ever rewritten; documents from before
// there were versions are null versions.
//
// Multipart uploads live in memory with their parts in data/; those in
// progress are dropped when the process ends.
//
// The package knows nothing of HTTP, signatures or policies.
package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// What a [Store] answers when it cannot do as asked.
var (
	// ErrInUse: another store, perhaps of another process, has the directory.
	ErrInUse = errors.New("directory in use")
	// ErrForeign: the directory has a data or buckets directory that no store
	// has made. Opening it would remove what is in there.
	ErrForeign = errors.New("directory belongs to something else")
	// ErrNoBucket: there is no such bucket.
	ErrNoBucket = errors.New("no such bucket")
	// ErrBucketExists: there is such a bucket already.
	ErrBucketExists = errors.New("bucket exists")
	// ErrBucketNotEmpty: the bucket to remove still holds objects.
	ErrBucketNotEmpty = errors.New("bucket not empty")
	// ErrNoKey: the bucket holds no such object.
	ErrNoKey = errors.New("no such key")
	// ErrNoUpload: the multipart upload never was, or is over.
	ErrNoUpload = errors.New("no such upload")
	// ErrNoPart: a part to assemble is missing, or is not the one named.
	ErrNoPart = errors.New("no such part")
	// ErrPartOrder: the parts to assemble are not in ascending order.
	ErrPartOrder = errors.New("parts out of order")
	// ErrPartTooSmall: a part other than the last is below [MinPartSize].
	ErrPartTooSmall = errors.New("part too small")
)

// Store is an open directory. It is safe for concurrent use.
type Store struct {
	dir   string
	log   *slog.Logger
	lock  *os.File
	grave graveyard

	mu       sync.RWMutex // guards what follows
	buckets  map[string]*bucket
	uploads  map[string]*upload
	sequence int64 // of the last record
}

// Open takes the directory, creating it if need be, removes what interrupted
// work has left in it, and reads the rest. Until Close no other store can open
// it: that is [ErrInUse]. A directory that is in use for something else is
// [ErrForeign]. Log hears of files that had to be skipped.
func Open(dir string, log *slog.Logger) (*Store, error) {
	s := &Store{dir: dir, log: log, buckets: map[string]*bucket{}, uploads: map[string]*upload{}}
	if err := s.claim(); err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	if err := s.load(); err != nil {
		s.lock.Close()
		return nil, err
	}
	return s, nil
}

// claim makes the directory ours. The lock's file stays behind, and marks a
// directory whose litter may be removed.
func (s *Store) claim() error {
	path := filepath.Join(s.dir, "devs3.lock")
	_, err := os.Stat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	for _, d := range []string{s.dataDir(), s.bucketsDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
		files, err := os.ReadDir(d)
		if err != nil {
			return err
		}
		if fresh && len(files) > 0 {
			return ErrForeign
		}
	}
	s.lock, err = acquire(path)
	return err
}

// Close gives the directory back. Uploads in progress are dropped. The caller
// sees to it that nothing uses the store any more.
func (s *Store) Close() error {
	s.dropUploads(func(Upload) bool { return true })
	s.grave.bury()
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("unlocking %s: %w", s.dir, err)
	}
	return nil
}

func (s *Store) dataDir() string             { return filepath.Join(s.dir, "data") }
func (s *Store) dataPath(file string) string { return filepath.Join(s.dir, "data", file) }
func (s *Store) bucketsDir() string          { return filepath.Join(s.dir, "buckets") }

// newName returns a file name that nothing else has: 26 characters of base32,
// 130 random bits.
func newName() string { return rand.Text() }

// replace writes a small file so that a reader, or a successor after a crash,
// finds the old content or the new one.
func replace(path string, content []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
