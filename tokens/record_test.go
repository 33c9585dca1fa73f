package tokens_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"s3gate/tokens"
)

// typicalGrant is what most tokens look like.
func typicalGrant() tokens.Grant {
	return tokens.Grant{
		Operation: tokens.Get, Bucket: "media", Key: "projects/2026/quarter-3/final/report-v12.pdf",
		ExpiresAt: noon.Add(time.Hour), MaxUses: 3, Subject: "alice@example.com",
		Labels: map[string]string{"case": "4711", "team": "legal"}, Response: tokens.Response{Filename: "report.pdf"},
		Issuer: "https://id.example.com/", IssuedBy: "backend", IssuedAt: noon,
	}
}

// recorded is the part of a grant that its record holds; what Lua reads stands
// beside it.
func recorded(g tokens.Grant) tokens.Grant {
	g.ID, g.Operation, g.NotBefore, g.ExpiresAt, g.MaxUses = "", "", time.Time{}, time.Time{}, 0
	g.ResumeWindow, g.ResumeSlack, g.CutAtExpiry, g.Version = 0, 0, false, 0
	return g
}

func grants() *rapid.Generator[tokens.Grant] {
	text := rapid.OneOf(rapid.Just(""), rapid.String())
	return rapid.Custom(func(t *rapid.T) tokens.Grant {
		g := tokens.Grant{
			Bucket: text.Draw(t, "bucket"), Key: text.Draw(t, "key"), Subject: text.Draw(t, "subject"),
			Response: tokens.Response{
				Filename: text.Draw(t, "filename"), Disposition: text.Draw(t, "disposition"), ContentType: text.Draw(t, "type"),
			},
			Upload: tokens.Upload{
				MaxBytes:  rapid.Int64().Draw(t, "max_bytes"),
				Overwrite: rapid.Bool().Draw(t, "overwrite"),
				Sniff:     rapid.Bool().Draw(t, "sniff"),
				Checksum:  text.Draw(t, "checksum"), StorageClass: text.Draw(t, "class"),

				KeyTemplate: text.Draw(t, "key_template"), RevealKey: rapid.Bool().Draw(t, "reveal_key"),
			},
			Issuer: text.Draw(t, "issuer"), IssuedBy: text.Draw(t, "issued_by"),
		}
		if n := rapid.IntRange(0, 3).Draw(t, "types"); n > 0 {
			g.Upload.ContentTypes = rapid.SliceOfN(rapid.StringN(1, 20, -1), n, n).Draw(t, "content_types")
		}
		if n := rapid.IntRange(0, 3).Draw(t, "metadata"); n > 0 {
			g.Upload.Metadata = rapid.MapOfN(rapid.String(), text, n, n).Draw(t, "value")
			g.Upload.ClientMetadata = rapid.SliceOfN(rapid.StringN(1, 20, -1), n, n).Draw(t, "client_metadata")
		}
		if n := rapid.IntRange(0, 3).Draw(t, "networks"); n > 0 {
			g.Clients = rapid.SliceOfN(rapid.StringN(1, 20, -1), n, n).Draw(t, "clients")
		}
		g.Bandwidth = rapid.Int64().Draw(t, "bandwidth")
		g.Prefix, g.List = text.Draw(t, "prefix"), rapid.Bool().Draw(t, "list")
		g.SelfRevoke = rapid.Bool().Draw(t, "self_revoke")
		g.SharedBy, g.Message, g.Previews = text.Draw(t, "shared_by"), text.Draw(t, "message"), rapid.Bool().Draw(t, "previews")
		g.Canary = rapid.Bool().Draw(t, "canary")
		g.VersionID, g.IfMatch = text.Draw(t, "version_id"), text.Draw(t, "if_match")
		g.RequestsPerSecond, g.MaxConcurrent = rapid.Int64().Draw(t, "rps"), rapid.Int64().Draw(t, "concurrent")
		g.Confirm = tokens.Confirm(text.Draw(t, "confirm"))
		if n := rapid.IntRange(0, 3).Draw(t, "labels"); n > 0 {
			g.Labels = rapid.MapOfN(rapid.String(), text, n, n).Draw(t, "label")
		}
		if ms := rapid.Int64Range(0, 1<<44).Draw(t, "issued_at"); ms > 0 {
			g.IssuedAt = time.UnixMilli(ms).UTC()
		}
		return g
	})
}

func TestRecordKeepsEveryField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := grants().Draw(t, "grant")
		record := tokens.EncodeGrant(&g)
		var got tokens.Grant
		if err := tokens.DecodeGrant(record, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, g) {
			t.Fatalf("got  %+v\nwant %+v", got, g)
		}
		if again := tokens.EncodeGrant(&got); !bytes.Equal(again, record) {
			t.Fatalf("one grant, two records: %x and %x", record, again)
		}
	})
}

// A new field of Grant that the record forgets shows here.
func TestRecordForgetsNoFieldOfTheStruct(t *testing.T) {
	var g tokens.Grant
	fill(t, reflect.ValueOf(&g).Elem())
	var got tokens.Grant
	if err := tokens.DecodeGrant(tokens.EncodeGrant(&g), &got); err != nil {
		t.Fatal(err)
	}
	if want := recorded(g); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// fill gives every field a value that is not its zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon))
		return
	case map[string]string:
		v.Set(reflect.ValueOf(map[string]string{"name": "value"}))
		return
	case tokens.Passcode:
		p, err := tokens.HashPasscode("text")
		if err != nil {
			t.Fatal(err)
		}
		v.Set(reflect.ValueOf(p))
		return
	case []string:
		v.Set(reflect.ValueOf([]string{"a/b"}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("a field of kind %s: say here how to fill it", v.Kind())
	}
}

// The record of version 1, byte for byte: gates of two versions share a Redis.
func TestRecordIsGolden(t *testing.T) {
	g := typicalGrant()
	got := fmt.Sprintf("%x\n", tokens.EncodeGrant(&g))
	want, err := os.ReadFile(filepath.Join("testdata", "record-v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestRecordOfATypicalGrantIsSmall(t *testing.T) {
	g := typicalGrant()
	size := len(tokens.EncodeGrant(&g))
	t.Logf("record of a typical grant: %d bytes, of which %d are its texts", size,
		len(g.Bucket+g.Key+g.Subject+"case4711teamlegal"+g.Response.Filename+g.Issuer+g.IssuedBy))
	if size > 180 {
		t.Errorf("%d bytes, want at most 180", size)
	}
}

func TestDecodeRefusesWhatItCannotHonour(t *testing.T) {
	g := typicalGrant()
	good := tokens.EncodeGrant(&g)
	tests := []struct {
		name   string
		record []byte
		want   string
	}{
		{"empty", nil, "not version 1"},
		{"version 0", append([]byte{0}, good[1:]...), "not version 1"},
		{"version 2", append([]byte{2}, good[1:]...), "not version 1"},
		{"unknown text", protowire.AppendString(protowire.AppendTag(bytes.Clone(good), 99, protowire.BytesType), "x"), "unknown field 99"},
		{"unknown number", protowire.AppendVarint(protowire.AppendTag(bytes.Clone(good), 99, protowire.VarintType), 1), "unknown field 99"},
		{"text as number", protowire.AppendVarint(protowire.AppendTag(bytes.Clone(good), 1, protowire.VarintType), 1), "unknown field 1"},
		{"number as text", protowire.AppendString(protowire.AppendTag(bytes.Clone(good), 8, protowire.BytesType), "1"), "unknown field 8"},
		{"fixed 32", protowire.AppendFixed32(protowire.AppendTag(bytes.Clone(good), 8, protowire.Fixed32Type), 1), "wire type 5"},
		{"truncated", good[:len(good)-1], "unexpected EOF"},
		{"truncated label", protowire.AppendString(protowire.AppendTag([]byte{1}, 4, protowire.BytesType), "\x05ab"), "label"},
		{"truncated metadata", protowire.AppendString(protowire.AppendTag([]byte{1}, 29, protowire.BytesType), "\x05ab"), "metadata"},
		{"length of 2^63", []byte{1, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "unexpected EOF"},
		{"field 0", []byte{1, 0x02, 0x00}, "invalid field number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got tokens.Grant
			err := tokens.DecodeGrant(tt.record, &got)
			if !errors.Is(err, tokens.ErrRecord) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an unreadable record: %s", err, tt.want)
			}
		})
	}
}

// FuzzDecode: no record makes it panic, and what it reads it can write, with
// the same meaning.
func FuzzDecode(f *testing.F) {
	g := typicalGrant()
	f.Add(tokens.EncodeGrant(&g))
	f.Add([]byte{1})
	f.Add([]byte{2, 0x0a, 0x01})
	f.Add([]byte{1, 0x22, 0x03, 0x05, 'a', 'b'})
	f.Add([]byte{1, 0x68, 0x00})
	f.Fuzz(func(t *testing.T, record []byte) {
		var g tokens.Grant
		if err := tokens.DecodeGrant(record, &g); err != nil {
			if !errors.Is(err, tokens.ErrRecord) {
				t.Errorf("%v is not of the package's errors", err)
			}
			return
		}
		written := tokens.EncodeGrant(&g)
		var again tokens.Grant
		if err := tokens.DecodeGrant(written, &again); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if rewritten := tokens.EncodeGrant(&again); !bytes.Equal(written, rewritten) {
			t.Errorf("%+v is written as %x and then as %x", g, written, rewritten)
		}
	})
}
