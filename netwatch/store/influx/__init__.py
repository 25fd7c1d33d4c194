"""The series store on InfluxDB 1, 2 and 3."""
