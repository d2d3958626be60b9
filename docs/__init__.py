"""The pages for those who run the program and query what it stores, and what keeps them true."""
