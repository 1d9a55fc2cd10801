"""Now: what moves, collected once however many look on, and sent to each as it comes."""
