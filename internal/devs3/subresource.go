package devs3

import (
	"fmt"
	"slices"
	"strings"
)

// subresources are the query parameters that name another operation.
var subresources = []string{
	"acl", "delete", "encryption", "lifecycle", "location", "logging", "ownershipControls", "policy", "policyStatus",
	"publicAccessBlock", "tagging", "uploadId", "uploads", "versioning", "versions",
}

// foreignSubresources name operations of S3 that are not supported here.
var foreignSubresources = []string{
	"accelerate", "analytics", "append", "attributes", "cors", "intelligent-tiering", "inventory",
	"legal-hold", "metadataConfiguration", "metadataInventoryTable",
	"metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock", "renameObject", "replication", "requestPayment", "restore",
	"retention", "select", "session", "torrent", "website", "writeOffsetBytes",
}

// parameters may stand in a query without a value and name nothing.
var parameters = []string{
	"continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker", "list-type", "marker",
	"max-keys", "max-parts", "max-uploads", "part-number-marker", "partNumber", "prefix", "start-after",
	"upload-id-marker", "version-id-marker", "versionId", "x-id",
}

// subresource returns the one subresource in the query, or "". A parameter
// without a value that is not known is taken for a subresource of an operation
// that is not supported: doing something else instead would be worse.
func (x *exchange) subresource() (string, error) {
	var found []string
	for name, values := range x.query {
		switch {
		case slices.Contains(subresources, name):
			found = append(found, name)
		case slices.Contains(foreignSubresources, name):
			return "", errNotImplemented
		case values[0] == "" && !slices.Contains(parameters, name) && !isPrefixed(name):
			return "", errNotImplemented
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	default:
		slices.Sort(found)
		return "", invalidArgument("ResourceType", fmt.Sprintf("Conflicting query string parameters: %s", strings.Join(found, ", ")))
	}
}

func isPrefixed(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, "x-amz-") || strings.HasPrefix(lower, "response-")
}
