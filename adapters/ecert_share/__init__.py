"""The provincial e-certificate library (省电子证照库) in the dialect of its sharing interface."""
