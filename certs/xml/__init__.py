"""XML signatures (W3C XMLDSig) and WS-Security, each in one strict profile: docs/protocol/message-signatures.md."""
