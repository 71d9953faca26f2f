"""Singer tap for an in-app experience API (Appcues) and a creator API (Phyllo)."""
