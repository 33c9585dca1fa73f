package tokens

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// recordVersion is the first byte of an encoded grant. It changes when an
// older gate could no longer honour what a record says.
const recordVersion = 1

// The fields of an encoded grant, in protobuf wire format, which is compact
// and has no schema to load. Numbers are never reused. What Lua must read
// (operation, times, uses) stands beside the encoded grant in the record's
// hash and not in here.
const (
	fieldBucket protowire.Number = iota + 1
	fieldKey
	fieldSubject
	fieldLabel
	fieldFilename
	fieldDisposition
	fieldContentType
	fieldMaxBytes
	fieldUploadType
	fieldOverwrite
	fieldIssuer
	fieldIssuedBy
	fieldIssuedAt
	fieldClient
	fieldBandwidth
	fieldPrefix
	fieldList
	fieldVersionID
	fieldIfMatch
	fieldRequestsPerSecond
	fieldMaxConcurrent
	fieldPasscode
	fieldConfirm
	fieldRevGen
	fieldRevSeq
	fieldSelfRevoke
	fieldSniff
	fieldChecksum
	fieldMetadata
	fieldClientMetadata
	fieldStorageClass
	fieldKeyTemplate
	fieldRevealKey
	fieldCanary
	fieldSharedBy
	fieldMessage
	fieldPreviews
)

var errRecord = errors.New("unreadable token record")

// encodeGrant returns the record of g: the version byte, then the fields that
// are set.
func encodeGrant(g *Grant) []byte {
	b := []byte{recordVersion}
	text := func(n protowire.Number, s string) {
		if s != "" {
			b = protowire.AppendTag(b, n, protowire.BytesType)
			b = protowire.AppendString(b, s)
		}
	}
	number := func(n protowire.Number, v int64) {
		if v != 0 {
			b = protowire.AppendTag(b, n, protowire.VarintType)
			b = protowire.AppendVarint(b, uint64(v))
		}
	}
	text(fieldBucket, g.Bucket)
	text(fieldKey, g.Key)
	text(fieldPrefix, g.Prefix)
	number(fieldList, int64(protowire.EncodeBool(g.List)))
	text(fieldVersionID, g.VersionID)
	text(fieldIfMatch, g.IfMatch)
	text(fieldSubject, g.Subject)
	pairs := func(n protowire.Number, values map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			// A pair is its length-prefixed name and then its value.
			pair := protowire.AppendString(nil, name)
			text(n, string(append(pair, values[name]...)))
		}
	}
	pairs(fieldLabel, g.Labels)
	text(fieldFilename, g.Response.Filename)
	text(fieldDisposition, g.Response.Disposition)
	text(fieldContentType, g.Response.ContentType)
	number(fieldMaxBytes, g.Upload.MaxBytes)
	for _, t := range g.Upload.ContentTypes {
		text(fieldUploadType, t)
	}
	for _, c := range g.Clients {
		text(fieldClient, c)
	}
	number(fieldBandwidth, g.Bandwidth)
	number(fieldRequestsPerSecond, g.RequestsPerSecond)
	number(fieldMaxConcurrent, g.MaxConcurrent)
	text(fieldPasscode, g.Passcode.hash)
	text(fieldConfirm, string(g.Confirm))
	number(fieldRevGen, g.RevGen)
	number(fieldRevSeq, g.RevSeq)
	number(fieldSelfRevoke, int64(protowire.EncodeBool(g.SelfRevoke)))
	number(fieldOverwrite, int64(protowire.EncodeBool(g.Upload.Overwrite)))
	number(fieldSniff, int64(protowire.EncodeBool(g.Upload.Sniff)))
	text(fieldChecksum, g.Upload.Checksum)
	pairs(fieldMetadata, g.Upload.Metadata)
	for _, name := range g.Upload.ClientMetadata {
		text(fieldClientMetadata, name)
	}
	text(fieldStorageClass, g.Upload.StorageClass)
	text(fieldKeyTemplate, g.Upload.KeyTemplate)
	number(fieldRevealKey, int64(protowire.EncodeBool(g.Upload.RevealKey)))
	number(fieldCanary, int64(protowire.EncodeBool(g.Canary)))
	text(fieldSharedBy, g.SharedBy)
	text(fieldMessage, g.Message)
	number(fieldPreviews, int64(protowire.EncodeBool(g.Previews)))
	text(fieldIssuer, g.Issuer)
	text(fieldIssuedBy, g.IssuedBy)
	if !g.IssuedAt.IsZero() {
		number(fieldIssuedAt, g.IssuedAt.UnixMilli())
	}
	return b
}

// decodeGrant fills g from a record. A field it does not know is an error: it
// may be a constraint that a newer gate wrote and this one cannot honour.
func decodeGrant(record []byte, g *Grant) error {
	if len(record) == 0 || record[0] != recordVersion {
		return fmt.Errorf("%w: not version %d", errRecord, recordVersion)
	}
	for b := record[1:]; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errRecord, protowire.ParseError(n))
		}
		b = b[n:]
		var err error
		switch typ {
		case protowire.BytesType:
			var v string
			if v, n = protowire.ConsumeString(b); n >= 0 {
				err = g.setText(num, v)
			}
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				err = g.setNumber(num, int64(v))
			}
		default:
			err = fmt.Errorf("%w: wire type %d", errRecord, typ)
		}
		if n < 0 {
			err = fmt.Errorf("%w: %w", errRecord, protowire.ParseError(n))
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (g *Grant) setText(num protowire.Number, v string) error {
	switch num {
	case fieldBucket:
		g.Bucket = v
	case fieldKey:
		g.Key = v
	case fieldSubject:
		g.Subject = v
	case fieldSharedBy:
		g.SharedBy = v
	case fieldMessage:
		g.Message = v
	case fieldLabel:
		return setPair(&g.Labels, "label", v)
	case fieldMetadata:
		return setPair(&g.Upload.Metadata, "metadata", v)
	case fieldChecksum:
		g.Upload.Checksum = v
	case fieldClientMetadata:
		g.Upload.ClientMetadata = append(g.Upload.ClientMetadata, v)
	case fieldStorageClass:
		g.Upload.StorageClass = v
	case fieldFilename:
		g.Response.Filename = v
	case fieldDisposition:
		g.Response.Disposition = v
	case fieldContentType:
		g.Response.ContentType = v
	case fieldUploadType:
		g.Upload.ContentTypes = append(g.Upload.ContentTypes, v)
	case fieldIssuer:
		g.Issuer = v
	case fieldIssuedBy:
		g.IssuedBy = v
	case fieldClient:
		g.Clients = append(g.Clients, v)
	case fieldPrefix:
		g.Prefix = v
	case fieldKeyTemplate:
		g.Upload.KeyTemplate = v
	case fieldVersionID:
		g.VersionID = v
	case fieldIfMatch:
		g.IfMatch = v
	case fieldPasscode:
		g.Passcode = Passcode{v}
	case fieldConfirm:
		g.Confirm = Confirm(v)
	default:
		return fmt.Errorf("%w: unknown field %d", errRecord, num)
	}
	return nil
}

func setPair(values *map[string]string, what, v string) error {
	name, n := protowire.ConsumeString([]byte(v))
	if n < 0 {
		return fmt.Errorf("%w: %s", errRecord, what)
	}
	if *values == nil {
		*values = map[string]string{}
	}
	(*values)[name] = v[n:]
	return nil
}

func (g *Grant) setNumber(num protowire.Number, v int64) error {
	switch num {
	case fieldMaxBytes:
		g.Upload.MaxBytes = v
	case fieldOverwrite:
		g.Upload.Overwrite = v != 0
	case fieldSniff:
		g.Upload.Sniff = v != 0
	case fieldBandwidth:
		g.Bandwidth = v
	case fieldList:
		g.List = v != 0
	case fieldRequestsPerSecond:
		g.RequestsPerSecond = v
	case fieldMaxConcurrent:
		g.MaxConcurrent = v
	case fieldRevGen:
		g.RevGen = v
	case fieldRevSeq:
		g.RevSeq = v
	case fieldSelfRevoke:
		g.SelfRevoke = v != 0
	case fieldCanary:
		g.Canary = v != 0
	case fieldPreviews:
		g.Previews = v != 0
	case fieldRevealKey:
		g.Upload.RevealKey = v != 0
	case fieldIssuedAt:
		g.IssuedAt = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("%w: unknown field %d", errRecord, num)
	}
	return nil
}
