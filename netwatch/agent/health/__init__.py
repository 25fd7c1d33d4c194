"""The health of a vantage: its witnesses, gateway, load and VPN."""
