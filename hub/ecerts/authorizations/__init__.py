"""What a holder allows: authorization codes shown at a counter, standing consents, and what data was used for."""
