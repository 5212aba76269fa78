"""What partners see: canonical models, code tables, XSD and WSDL files, and the error tree. Imports nothing of ours."""
