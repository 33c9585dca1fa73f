package devs3

import (
	"bytes"
	"testing"
)

// FuzzSettings: what is accepted is rendered as something that is accepted and
// rendered the same.
func FuzzSettings(f *testing.F) {
	versioningSetting := versioningShape
	versioningSetting.blank = func() settingDocument { return new(versioning) }
	all := []setting{publicAccessBlock, ownershipControls, bucketEncryption, bucketLifecycle, versioningSetting}
	for i, text := range []string{
		`<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><BlockPublicAcls>1</BlockPublicAcls></PublicAccessBlockConfiguration>`,
		`<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>`,
		`<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>&#x41;</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled> true </BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`,
		`<LifecycleConfiguration><Rule><ID>a</ID><Prefix>p</Prefix><Status>Enabled</Status><Expiration><Date>2026-01-01T00:00:00Z</Date></Expiration><NoncurrentVersionTransition><NoncurrentDays>3</NoncurrentDays><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition></Rule></LifecycleConfiguration>`,
		`<?xml version="1.0"?><!-- c --><VersioningConfiguration><Status>Enabled</Status><MfaDelete>Disabled</MfaDelete></VersioningConfiguration>`,
	} {
		f.Add(uint8(i), []byte(text))
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		s := all[int(which)%len(all)]
		doc := s.blank()
		if s.parse(text, doc) != nil || doc.check(nil) != nil {
			return
		}
		first, again := s.render(doc), s.blank()
		if err := s.parse(first, again); err != nil {
			t.Fatalf("%s became %s: %v", text, first, err)
		}
		if err := again.check(nil); err != nil {
			t.Fatalf("%s became %s: %v", text, first, err)
		}
		if second := s.render(again); !bytes.Equal(first, second) {
			t.Fatalf("%s became %s, then %s", text, first, second)
		}
	})
}
