package disk

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
)

// Assembly says how the parts of an upload become an object.
type Assembly struct {
	// Parts are the numbers and MD5s of the parts to use, ascending.
	Parts []Part
	// Hash, if not nil, gets to see all the data.
	Hash hash.Hash
	// Seal, if not nil, may change the object once its data is complete, or
	// refuse it. It gets the parts used.
	Seal func(o *Object, parts []Part) error
	// Check is as in [Store.Put].
	Check Check
}

// Complete assembles an upload into the object it was begun for and ends it.
// After an error the upload is as before: [ErrNoPart], [ErrPartOrder],
// [ErrPartTooSmall], or what Seal or Check said.
func (s *Store) Complete(bucket, key, id string, a Assembly) (*Object, error) {
	u, err := s.uploading(bucket, key, id)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		return nil, ErrNoUpload
	}
	parts, err := u.choose(a.Parts)
	if err != nil {
		return nil, err
	}
	d, err := s.Create()
	if err != nil {
		return nil, err
	}
	defer d.Discard()
	o := Object{Key: u.Key, Header: u.Header, Encryption: u.Encryption}
	used, err := u.join(d, &o, parts, a.Hash)
	if err != nil {
		return nil, err
	}
	if a.Seal != nil {
		if err := a.Seal(&o, used); err != nil {
			return nil, err
		}
	}
	stored, err := s.Put(u.Bucket, o, d, a.Check)
	if err != nil {
		return nil, err
	}
	u.end()
	return stored, nil
}

// choose looks up the parts wanted. It needs u.mu.
func (u *upload) choose(wanted []Part) ([]storedPart, error) {
	for i := 1; i < len(wanted); i++ {
		if wanted[i].Number <= wanted[i-1].Number {
			return nil, ErrPartOrder
		}
	}
	var parts []storedPart
	for _, w := range wanted {
		p, ok := u.parts[w.Number]
		if !ok || p.MD5 != w.MD5 {
			return nil, ErrNoPart
		}
		parts = append(parts, p)
	}
	for i, p := range parts {
		if i < len(parts)-1 && p.Size < MinPartSize {
			return nil, ErrPartTooSmall
		}
	}
	if len(parts) == 0 {
		return nil, ErrNoPart
	}
	return parts, nil
}

// join writes the parts behind each other and fills in what the object derives
// from them.
func (u *upload) join(d *Draft, o *Object, parts []storedPart, h hash.Hash) ([]Part, error) {
	digests := md5.New()
	var used []Part
	for _, p := range parts {
		if err := appendPart(d, u.store.dataPath(p.file), h); err != nil {
			return nil, fmt.Errorf("assembling part %d: %w", p.Number, err)
		}
		sum, err := hex.DecodeString(p.MD5)
		if err != nil {
			return nil, fmt.Errorf("assembling part %d: %w", p.Number, err)
		}
		digests.Write(sum)
		o.Parts = append(o.Parts, p.Size)
		used = append(used, p.Part)
	}
	o.MD5 = hex.EncodeToString(digests.Sum(nil))
	return used, nil
}

func appendPart(d *Draft, path string, h hash.Hash) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if h != nil {
		_, err = io.Copy(io.MultiWriter(d, h), f)
		return err
	}
	_, err = d.Append(f)
	return err
}
