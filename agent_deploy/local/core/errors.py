"""Errors in the body that Databricks' clients parse: ``{"error_code": …, "message": …}``."""

from __future__ import annotations

ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"  # what to tell it by: some APIs answer it with 400, others with 409


class ApiError(Exception):
    """An answer other than success; ``error_code`` is the platform's word, ``message`` says what to do."""

    def __init__(
        self, status: int, error_code: str, message: str, details: list[dict[str, object]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.details = details or []

    def body(self) -> dict[str, object]:
        """The JSON body of the answer."""
        return {"error_code": self.error_code, "message": self.message, "details": self.details}


def not_found(message: str) -> ApiError:
    """404, by which clients know that a resource is gone."""
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)


def already_exists(message: str, status: int = 400) -> ApiError:
    """RESOURCE_ALREADY_EXISTS; serving endpoints answer it with 400, others choose."""
    return ApiError(status, ALREADY_EXISTS, message)


def invalid(message: str) -> ApiError:
    """400 INVALID_PARAMETER_VALUE."""
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def forbidden(message: str) -> ApiError:
    """403 PERMISSION_DENIED."""
    return ApiError(403, "PERMISSION_DENIED", message)


def conflict(message: str) -> ApiError:
    """409 RESOURCE_CONFLICT: try again later."""
    return ApiError(409, "RESOURCE_CONFLICT", message)
