"""What a vantage knows about its own network: witnesses from the gateway to abroad."""
